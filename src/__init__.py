"""ProFusion: detail-preserving personalised text-to-image generation, as a research harness."""

import sys

if sys.argv[:1] == ["-m"]:  # `python -m src.NAME`: NAME is about to be read, and libraries that take seconds to load
    from src.harness import signals

    signals.listen_while_loading()

    from src.harness.command import refuse_early

    refuse_early(sys.orig_argv[-len(sys.argv)], sys.argv[1:])
