"""ProFusion: detail-preserving personalised text-to-image generation, as a research harness."""
