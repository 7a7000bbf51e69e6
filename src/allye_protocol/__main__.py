"""``python -m allye_protocol``: the same as the command ``allye-protocol``."""

from __future__ import annotations

import sys

from allye_protocol.cli.main import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
