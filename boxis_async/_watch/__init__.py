"""What a watch does between two items: which look is due, what is new in it, what is handled."""
