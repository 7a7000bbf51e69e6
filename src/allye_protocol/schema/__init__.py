"""JSON Schemas of the messages, generated from the structs. Beside the data path, never on it: the codec does not use them.

1. The structs are the source (:func:`generate`); the published files are generated from them and checked for drift.
2. A schema accepts whatever the codec accepts. What the codec refuses and a schema cannot express is written in the schema's
   description, rule by rule, with the error codes (:mod:`allye_protocol.schema.rules`).
3. Unknown members are allowed everywhere: a later minor version adds optional ones.

Checking a payload against a schema needs jsonschema (extra ``schema``); everything else here needs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from allye_protocol.extras import require
from allye_protocol.schema.generate import generate, identifier
from allye_protocol.schema.publish import Drift, drift, load, path_of, publish
from allye_protocol.schema.rules import Rule, rules

if TYPE_CHECKING:
    from allye_protocol.messages.registry import Kind

__all__ = [
    "Drift",
    "Rule",
    "drift",
    "generate",
    "identifier",
    "load",
    "path_of",
    "publish",
    "rules",
    "validator",
]


def validator(kind: Kind | str, version: int = 1) -> Any:
    """A jsonschema validator (draft 2020-12) for one kind of message.

    It sees a parsed body only, so it cannot tell duplicate keys, trailing bytes or ``1.0`` from ``1``; and JSON Schema cannot
    compare members. :func:`allye_protocol.decode` checks everything, and is more than a hundred times as fast.

    :param kind: what the message is.
    :param version: the protocol's major version.
    :returns: a ``jsonschema.Draft202012Validator``.
    :raises ImportError: with the pip command to run, when jsonschema is not installed.
    :raises DecodeError: ``message.unknown_kind``, ``version.unsupported``.
    """
    return require("jsonschema", "schema").Draft202012Validator(load(kind, version))
