"""ProFusion: detail-preserving personalised text-to-image generation, as a research harness."""

import sys

if sys.argv[:1] == ["-m"]:  # Python is about to run a command of ours, whose libraries take seconds to load
    from src import signals

    signals.listen_while_loading()
