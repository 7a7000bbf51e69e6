"""Writes the conformance vectors: ``python -m tests.conformance.builder``; with ``--check`` it only compares."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.conformance.builder.files import FOLDER, drift, files


def main() -> int:
    """Write or compare."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.builder", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is not what would be written")
    args = parser.parse_args()
    if args.check:
        found = drift(FOLDER)
        for line in found:
            print(line, file=sys.stderr)
        return 1 if found else 0
    FOLDER.mkdir(exist_ok=True)
    made = files()
    for path in FOLDER.glob("*.json"):
        if path.name not in made:
            path.unlink()
    for name, text in made.items():
        Path(FOLDER / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
