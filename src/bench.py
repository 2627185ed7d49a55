"""How fast: `python -m src.bench NAME`, which is `run(cfg)` of benchmarks/NAME.py under conf/bench_NAME.yaml."""

import importlib
import sys

from src.harness.command import command
from src.harness.compose import CONF

NAMES = sorted(path.stem.removeprefix("bench_") for path in CONF.glob("bench_*.yaml"))


def main() -> None:
    """Run the benchmark that the first word names; the other words are its settings."""
    if len(sys.argv) < 2 or sys.argv[1] not in NAMES:
        sys.exit(f"error: name a benchmark: python -m src.bench {'|'.join(NAMES)}")
    name = sys.argv.pop(1)
    module = importlib.import_module(f"src.benchmarks.{name}")
    command(f"bench_{name}", keeps=getattr(module, "KEEPS", ""))(module.run)()


if __name__ == "__main__":
    main()
