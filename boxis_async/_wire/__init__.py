"""One request and its answer, as bytes: no input, no output."""
