"""Reading the names in a body that is no valid message, so that a refusal can say what it refuses."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from allye_protocol.codec.base import JSON, MAX_PAYLOAD_BYTES, MSGPACK, PROTOBUF, sniffed
from allye_protocol.codec.msgpack_reader import MalformedError, read_tree
from allye_protocol.codec.protobuf.wire import names_in
from allye_protocol.ids import is_id
from allye_protocol.messages.v2.fields import trace_id_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Names", "peek"]


class Names(NamedTuple):
    """What could be read of an invalid body.

    :param reference: the schedule's id, or the payload's SHA-256 as 64 hex digits, which is an id as well.
    :param device_id: the device it is for, if it says so.
    :param trace_id: what stands for a trace id, in a ``traceparent`` or by itself, unchecked.
    """

    reference: str
    device_id: str | None
    trace_id: str | None


class _Body(msgspec.Struct):
    schedule_id: Any = None
    device_id: Any = None
    trace_id: Any = None
    traceparent: Any = None


_DECODER: Final = msgspec.json.Decoder(_Body)


def peek(payload: bytes, content_type: str | None = None) -> Names:
    """Read what can be read. Never raises; does not parse what is over the size limit.

    :param content_type: as for :func:`allye_protocol.codec.decode`.
    """
    members: Mapping[str, object] = {}
    if len(payload) <= MAX_PAYLOAD_BYTES:
        named = sniffed(payload) if content_type is None else content_type.partition(";")[0].strip().lower()
        members = _MEMBERS.get(named, _nothing)(payload)
    name, device, traceparent = members.get("schedule_id"), members.get("device_id"), members.get("traceparent")
    trace_id = trace_id_of(traceparent) if isinstance(traceparent, str) else members.get("trace_id")
    return Names(
        name if isinstance(name, str) and is_id(name) else sha256(payload).hexdigest(),
        device if isinstance(device, str) and is_id(device) else None,
        trace_id if isinstance(trace_id, str) else None,
    )


def _of_json(payload: bytes) -> Mapping[str, object]:
    try:
        return msgspec.structs.asdict(_DECODER.decode(payload))
    except (msgspec.DecodeError, RecursionError, ValueError):
        return {}


def _of_msgpack(payload: bytes) -> Mapping[str, object]:
    try:
        tree = read_tree(payload)
    except MalformedError:
        return {}
    return tree if isinstance(tree, dict) else {}


def _nothing(_payload: bytes) -> Mapping[str, object]:
    return {}


_MEMBERS: Final[dict[str, Callable[[bytes], Mapping[str, object]]]] = {
    JSON: _of_json,
    MSGPACK: _of_msgpack,
    PROTOBUF: names_in,
}
