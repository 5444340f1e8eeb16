"""What a probe works out from answers. Nothing in here sends a request."""
