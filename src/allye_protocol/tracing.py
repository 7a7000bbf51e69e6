"""W3C trace context, level 1: which schedule's story a message belongs to.

1. A context that does not follow the specification is replaced by a new one and never propagated; so is ``tracestate`` by
   nothing, without harm to its ``traceparent``.
2. A later version of ``traceparent`` is read as far as version 00 goes; what is sent is always version 00.
3. Nothing here is random: ids come from a source that the caller gives.

On MQTT 5 the context travels in user properties, in version-1 bodies its trace id alone (``trace_id``).
"""

from __future__ import annotations

import string
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from allye_protocol.frame import Frame

__all__ = ["RandomBytes", "TraceContext", "trace_id_or_none"]

RandomBytes = Callable[[int], bytes]
"""A source of randomness: so many bytes. ``os.urandom`` in an app, a seeded one in a test."""

TRACE_ID_CHARS: Final = 32
_SPAN_ID_CHARS: Final = 16
_TRACEPARENT_CHARS: Final = 55
_HEX: Final = "0123456789abcdef"

_MAX_MEMBERS: Final = 32
_MAX_STATE_CHARS: Final = 512
_LONG_MEMBER_CHARS: Final = 128
_KEY: Final = string.ascii_lowercase + string.digits + "_-*/"
_VALUE: Final = "".join(char for char in map(chr, range(0x20, 0x7F)) if char not in ",=")


def trace_id_or_none(text: str | None) -> str | None:
    """Read the ``trace_id`` of a version-1 body.

    :param text: what the body has, if anything.
    :returns: the id when it is 32 lower-case hexadecimal digits and not all zero, else ``None``.
    """
    return text if text is not None and _is_hex_id(text, TRACE_ID_CHARS) else None


class TraceContext(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a trace.

    :param trace_id: the whole story: 32 lower-case hexadecimal digits, not all zero.
    :param span_id: the step that the next one follows (``parent-id`` in the specification): 16 digits, not all zero.
    :param sampled: whether the caller may have recorded it.
    :param tracestate: what tracing systems carry along, opaque; empty for nothing.
    """

    trace_id: str
    span_id: str
    sampled: bool = True
    tracestate: str = ""

    @classmethod
    def start(cls, random_bytes: RandomBytes, trace_id: str | None = None) -> TraceContext:
        """Begin a trace, or join the one that a version-1 body names.

        :param random_bytes: where ids come from.
        :param trace_id: the body's ``trace_id``; one that is not valid is replaced.
        """
        return cls(
            trace_id=trace_id_or_none(trace_id) or _new_id(random_bytes, TRACE_ID_CHARS), span_id=_new_span(random_bytes)
        )

    @classmethod
    def parse(cls, traceparent: str, tracestate: str = "") -> TraceContext | None:
        """Read a ``traceparent`` and its ``tracestate``.

        :returns: the context, or ``None`` when ``traceparent`` does not follow the specification.
        """
        version, trace_id, span_id, flags = traceparent[:2], traceparent[3:35], traceparent[36:52], traceparent[53:55]
        separators = traceparent[2:3] + traceparent[35:36] + traceparent[52:53]
        if separators != "---" or len(flags) != 2 or (version + trace_id + span_id + flags).strip(_HEX) or version == "ff":
            return None
        rest = traceparent[_TRACEPARENT_CHARS:]
        if rest and (version == "00" or rest[0] != "-"):
            return None
        if not trace_id.strip("0") or not span_id.strip("0"):
            return None
        state = _valid_state(tracestate) if tracestate else ""
        return cls(trace_id=trace_id, span_id=span_id, sampled=bool(int(flags, 16) & 1), tracestate=state)

    @classmethod
    def from_frame(cls, frame: Frame, random_bytes: RandomBytes, trace_id: str | None = None) -> TraceContext:
        """The context that a message came with, or a new one.

        A message with several ``traceparent`` properties has none that can be trusted. Several ``tracestate`` are one list.

        :param frame: the message.
        :param random_bytes: where the ids of a new context come from.
        :param trace_id: the body's ``trace_id``, which counts when the user properties have no valid context.
        """
        parents = [value for name, value in frame.user_properties if name == "traceparent"]
        states = [value for name, value in frame.user_properties if name == "tracestate"]
        context = cls.parse(parents[0], ",".join(states)) if len(parents) == 1 else None
        return context or cls.start(random_bytes, trace_id)

    def child(self, random_bytes: RandomBytes) -> TraceContext:
        """The next step of the same trace."""
        return TraceContext(
            trace_id=self.trace_id, span_id=_new_span(random_bytes), sampled=self.sampled, tracestate=self.tracestate
        )

    @property
    def traceparent(self) -> str:
        """The context as version 00 of ``traceparent``."""
        return f"00-{self.trace_id}-{self.span_id}-{int(self.sampled):02x}"

    def user_properties(self) -> tuple[tuple[str, str], ...]:
        """The context as MQTT 5 user properties."""
        state = (("tracestate", self.tracestate),) if self.tracestate else ()
        return (("traceparent", self.traceparent), *state)


def _is_hex_id(text: str, chars: int) -> bool:
    return len(text) == chars and not text.strip(_HEX) and bool(text.strip("0"))


def _new_id(random_bytes: RandomBytes, chars: int) -> str:
    # All zero is the one value that is not an id.
    return f"{int.from_bytes(random_bytes(chars // 2), 'big') or 1:0{chars}x}"


def _new_span(random_bytes: RandomBytes) -> str:
    return _new_id(random_bytes, _SPAN_ID_CHARS)


def _valid_state(text: str) -> str:
    """The list of a ``tracestate``, shortened as the specification says; empty when any member breaks its rules."""
    members = [member for part in text.split(",") if (member := part.strip(" \t"))]
    keys = {member.partition("=")[0] for member in members}
    if len(members) > _MAX_MEMBERS or len(keys) < len(members) or not all(map(_is_member, members)):
        return ""
    if len(",".join(members)) > _MAX_STATE_CHARS:
        members = [member for member in members if len(member) <= _LONG_MEMBER_CHARS]
    while len(",".join(members)) > _MAX_STATE_CHARS:
        members.pop()
    return ",".join(members)


def _is_member(member: str) -> bool:
    key, equals, value = member.partition("=")
    if not equals or not 0 < len(value) <= 256 or value.strip(_VALUE):
        return False
    tenant, at, system = key.rpartition("@")
    if not at:
        return _is_key(key, 256) and not key[0].isdigit()
    return _is_key(tenant, 241) and _is_key(system, 14) and not system[0].isdigit()


def _is_key(text: str, most: int) -> bool:
    return 0 < len(text) <= most and not text.strip(_KEY) and text[0] not in "_-*/"
