"""What tests of the command share: examples of every kind, and feeding it."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from allye_protocol import schema
from allye_protocol.messages.registry import KINDS, NEWEST, Kind

if TYPE_CHECKING:
    import pytest

DEADLINE_S = 30
EXAMPLES: dict[tuple[Kind, int], dict[str, Any]] = {
    key: schema.generate(key[0], key[1] or NEWEST)["examples"][0] for key in KINDS
}
"""A message of each type, as parsed JSON."""
NEWEST_EXAMPLES = {kind: EXAMPLES.get((kind, NEWEST)) or EXAMPLES[kind, 0] for kind in Kind}


def run(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """The command as a process of its own."""
    command = [sys.executable, "-m", "allye_protocol", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=DEADLINE_S)


def feed(monkeypatch: pytest.MonkeyPatch, payload: bytes) -> None:
    """Give the command its standard input."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(payload)))


def broken_schedule() -> dict[str, Any]:
    """A schedule of version 1 with three things wrong with it."""
    body: dict[str, Any] = json.loads(json.dumps(EXAMPLES[Kind.SCHEDULE, 1]))
    body["device_id"] = "a b"
    body["intervals"][1]["mode"] = "CHARGE"
    body["intervals"][1]["rate_kw"] = -1
    body["intervals"][2]["end"] = "2018-07-01T12:00:00Z"
    return body
