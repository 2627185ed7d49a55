"""Training of the embedded world's nets."""
