"""The published contracts, generated from the structs. Beside the data path, never on it: the codec does not use them.

1. The structs are the source (:func:`generate`, :mod:`~allye_protocol.schema.asyncapi`, :mod:`~allye_protocol.schema.proto`);
   the published files are generated from them and checked for drift, and for what they would break
   (:mod:`~allye_protocol.schema.compare`).
2. A schema accepts whatever the codec accepts. What the codec refuses and a schema cannot express is written in the schema's
   description, rule by rule, with the error codes (:mod:`allye_protocol.schema.rules`).
3. Unknown members are allowed everywhere: a later minor version adds optional ones.

Checking a payload against a schema needs jsonschema (extra ``schema``); everything else here needs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from allye_protocol.extras import require
from allye_protocol.messages.registry import NEWEST
from allye_protocol.schema.compare import Change, Impact, compare
from allye_protocol.schema.generate import generate, identifier
from allye_protocol.schema.publish import Drift, drift, load, path_of, publish, shipped
from allye_protocol.schema.rules import Rule, rules

if TYPE_CHECKING:
    from allye_protocol.messages.registry import Kind

__all__ = [
    "Change",
    "Drift",
    "Impact",
    "Rule",
    "compare",
    "drift",
    "generate",
    "identifier",
    "load",
    "path_of",
    "publish",
    "rules",
    "shipped",
    "validator",
]


def validator(kind: Kind | str, version: int = NEWEST) -> Any:
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
