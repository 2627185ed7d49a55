"""A run's folder: what lies there, what it depends on, where it came from, and its mirror."""
