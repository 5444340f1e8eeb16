"""Legs → calls: which legs belong together, whom each reached, and what that makes of the call."""
