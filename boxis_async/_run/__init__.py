"""One pass over a range: its windows, their records, each key once."""
