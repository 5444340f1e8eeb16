"""What a probe sends, and what it concludes from the answers."""
