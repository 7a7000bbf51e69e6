"""Files for the command."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """Write a payload to a file and give its name."""

    def writer(payload: bytes | dict[str, Any], name: str = "payload") -> str:
        path = tmp_path / name
        path.write_bytes(payload if isinstance(payload, bytes) else json.dumps(payload).encode())
        return str(path)

    return writer
