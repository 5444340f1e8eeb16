"""One request, sent: its turn, its signature, its answer."""
