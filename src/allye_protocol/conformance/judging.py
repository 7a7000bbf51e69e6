"""When an answer is the expected one.

1. Numbers are compared by value: ``75`` is ``75.0``, and ``true`` is no number.
2. Instants are compared as instants, to the microsecond; both are in UTC with a ``Z``.
3. A member that is ``null``, or has the value that its absence stands for, is as good as absent.
4. Of ``losses`` only which there are counts. Everything else is compared as it stands, and a member too many is a mismatch.
5. A refusal is compared by its ``code``, its ``path`` and what else the vector expects of it, never by its words.
6. What ``encode`` wrote is right when this library reads the expected message from it, in the encoding that was asked for.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from allye_protocol import codec
from allye_protocol.conformance.vectors import ENCODE
from allye_protocol.errors import DecodeError
from allye_protocol.messages import Clock, ErrorDetail
from allye_protocol.messages.registry import BY_TYPE, KINDS

if TYPE_CHECKING:
    from allye_protocol.conformance.vectors import Vector

__all__ = ["canonical", "mismatch"]

_INSTANT: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,6})0*)?Z")
_SHOWN_CHARS: Final = 400


def _defaults() -> dict[str, Any]:
    """What the absence of a member stands for, by its name; absent here where it stands for nothing."""
    made: dict[str, Any] = {}
    for struct in (*(spec.struct for spec in KINDS.values()), ErrorDetail, Clock):
        for field in msgspec.structs.fields(struct):
            value = field.default_factory() if callable(field.default_factory) else field.default
            if not field.required and value is not None:
                made[field.encode_name] = json.loads(msgspec.json.encode(value))
    return made


_DEFAULTS: Final = _defaults()


def canonical(message: Any) -> dict[str, Any]:
    """A message of any version in the JSON form of its own version."""
    document: dict[str, Any] = json.loads(codec.encode(message))
    return document


def mismatch(vector: Vector, response: dict[str, Any]) -> str | None:
    """What is wrong with an answer to a vector's question.

    :param response: the answer, with ``ok`` or ``error``.
    :returns: where and how it differs; ``None`` for the right answer.
    """
    if vector.op == ENCODE:
        return _written_wrong(vector, response)
    if vector.error is not None:
        if "ok" in response:
            return f"accepted: {_shown(response['ok'])}"
        return _other_error(vector.error, response["error"])
    if "error" in response:
        return f"refused: {_shown(response['error'])}"
    return _difference(vector.expect, response["ok"], "")


def _other_error(expected: dict[str, Any], got: Any) -> str | None:
    if not isinstance(got, dict):
        return f"an error is an object, not {_shown(got)}"
    told = {"path": "", **got}
    wrong = [f"{name} {_shown(told.get(name))}" for name, value in expected.items() if told.get(name) != value]
    return f"refused with {', '.join(wrong)}" if wrong else None


def _written_wrong(vector: Vector, response: dict[str, Any]) -> str | None:
    if "error" in response:
        return f"refused: {_shown(response['error'])}"
    try:
        payload = base64.b64decode(response["ok"]["payload_base64"], validate=True)
    except (KeyError, TypeError, binascii.Error, ValueError):
        return f"no payload_base64: {_shown(response['ok'])}"
    try:
        message = codec.decode(payload, vector.parameters["kind"], vector.parameters["content_type"])
    except DecodeError as error:
        return f"what was written cannot be read: {error}"
    if BY_TYPE[type(message)].version != vector.parameters["version"]:
        return f"written in version {BY_TYPE[type(message)].version}"
    return _difference(vector.parameters["message"], canonical(message), "")


def _difference(expected: Any, got: Any, path: str) -> str | None:
    """Where two JSON values differ, if they do."""
    if isinstance(expected, dict) and isinstance(got, dict):
        for name, value in expected.items():
            if name not in got:
                return f"{path}/{name} is missing"
            one, other = (sorted(map(str, side)) if name == "losses" else side for side in (value, got[name]))
            found = _difference(one, other, f"{path}/{name}")
            if found is not None:
                return found
        for name, value in got.items():
            if name not in expected and value is not None and value != _DEFAULTS.get(name):
                return f"{path}/{name} is one member too many: {_shown(value)}"
        return None
    if isinstance(expected, list) and isinstance(got, list):
        if len(expected) != len(got):
            return f"{path} has {len(got)} elements, not {len(expected)}"
        pairs = zip(expected, got, strict=True)
        return next((found for i, (a, b) in enumerate(pairs) if (found := _difference(a, b, f"{path}/{i}")) is not None), None)
    return None if _same(expected, got) else f"{path} is {_shown(got)}, not {_shown(expected)}"


def _same(expected: Any, got: Any) -> bool:
    if isinstance(expected, bool) or isinstance(got, bool):
        return expected is got
    if isinstance(expected, str) and isinstance(got, str):
        one, other = _instant(expected), _instant(got)
        return expected == got if one is None or other is None else one == other
    return bool(expected == got)


def _instant(text: str) -> datetime | None:
    found = _INSTANT.fullmatch(text)
    if found is None:
        return None
    whole, fraction = found.groups()
    return datetime.fromisoformat(whole).replace(tzinfo=UTC, microsecond=int((fraction or "").ljust(6, "0")))


def _shown(value: Any) -> str:
    try:
        text = json.dumps(value)
    except RecursionError:  # a stack's length less than what was read
        return "a value that is nested too deeply"
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}... ({len(text)} characters)"
