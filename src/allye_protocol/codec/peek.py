"""Reading the names in a body that is no valid message, so that a refusal can say what it refuses."""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final, NamedTuple

import msgspec

from allye_protocol.codec.base import MAX_PAYLOAD_BYTES
from allye_protocol.ids import is_id

__all__ = ["Names", "peek"]


class Names(NamedTuple):
    """What could be read of an invalid body.

    :param reference: the schedule's id, or the payload's SHA-256 as 64 hex digits, which is an id as well.
    :param device_id: the device it is for, if it says so.
    :param trace_id: what stands for a trace id, unchecked.
    """

    reference: str
    device_id: str | None
    trace_id: str | None


class _Body(msgspec.Struct):
    schedule_id: Any = None
    device_id: Any = None
    trace_id: Any = None


_DECODER: Final = msgspec.json.Decoder(_Body)


def peek(payload: bytes) -> Names:
    """Read what can be read. Never raises; does not parse what is over the size limit."""
    body = _Body()
    if len(payload) <= MAX_PAYLOAD_BYTES:
        try:
            body = _DECODER.decode(payload)
        except (msgspec.DecodeError, RecursionError, ValueError):
            body = _Body()
    name = body.schedule_id
    reference = name if isinstance(name, str) and is_id(name) else sha256(payload).hexdigest()
    device = body.device_id if isinstance(body.device_id, str) and is_id(body.device_id) else None
    return Names(reference, device, body.trace_id if isinstance(body.trace_id, str) else None)
