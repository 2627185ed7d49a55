"""Preflight: what a command needs and demands, each found or missing with its remedy, before any model is loaded."""
