"""Benchmarks: what `src.bench` measures, apart from settings."""
