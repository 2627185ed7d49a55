"""How fast: `python -m src.bench judge`. Each benchmark is a file bench_NAME.py with a command of its own."""

import importlib
import sys
from pathlib import Path

NAMES = sorted(path.stem.removeprefix("bench_") for path in Path(__file__).parent.glob("bench_*.py"))


def main() -> None:
    """Run the benchmark that the first word names; the other words are its settings."""
    if len(sys.argv) < 2 or sys.argv[1] not in NAMES:
        sys.exit(f"error: name a benchmark: python -m src.bench {'|'.join(NAMES)}")
    name = sys.argv.pop(1)
    importlib.import_module(f"src.bench_{name}").main()


if __name__ == "__main__":
    main()
