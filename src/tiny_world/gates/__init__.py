"""What makes it a world rather than a toy: gates, measured on validation people."""
