"""Training of the embedded world's judges."""
