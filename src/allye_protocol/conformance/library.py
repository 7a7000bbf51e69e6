"""This library, asked in the terms of the line protocol: what every other implementation is compared with."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, Final

import msgspec

from allye_protocol import __version__, codec, convert, topics
from allye_protocol.conformance.device import played
from allye_protocol.conformance.judging import canonical
from allye_protocol.conformance.report import Claims, FaultError
from allye_protocol.digest import digest
from allye_protocol.errors import AllyeError, PeerTooNew, PeerTooOld
from allye_protocol.messages import Hello, Kind, Schedule
from allye_protocol.messages.registry import VERSIONS
from allye_protocol.negotiation import Offer, agreement_with, choose

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Library"]


class Library:
    """Answers every question by this library."""

    def describe(self) -> Claims:
        """What it can be asked; an encoding whose extra is not installed is not claimed."""
        ops = ("describe", *_ANSWERS)
        return Claims(name=f"allye-protocol {__version__}", ops=ops, versions=VERSIONS, content_types=tuple(codec.ENCODINGS))

    def ask(self, op: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """Answer one question.

        :returns: an object with ``ok`` or ``error``; ``unsupported`` for a question that is none.
        :raises FaultError: a bug.
        """
        if op == "describe":
            return {"ok": msgspec.to_builtins(self.describe())}
        answer = _ANSWERS.get(op)
        if answer is None:
            return {"unsupported": f"no op {op!r}"}
        try:
            return {"ok": answer(parameters)}
        except AllyeError as error:
            return {"error": _refusal(error)}
        except Exception as error:  # a bug of this library costs the vector that found it, not the run
            raise FaultError(f"{type(error).__name__}: {error}") from error


def _refusal(error: AllyeError) -> dict[str, Any]:
    told: dict[str, Any] = {"code": error.code, "path": error.path, "message": error.message}
    if isinstance(error, (PeerTooOld, PeerTooNew)):
        told["upgrade"] = "peer" if isinstance(error, PeerTooOld) else "this_side"
    return told


def _payload(asked: dict[str, Any]) -> bytes:
    return base64.b64decode(asked["payload_base64"])


def _decode(asked: dict[str, Any]) -> dict[str, Any]:
    return {"message": canonical(codec.decode(_payload(asked), asked["kind"], asked["content_type"]))}


def _encode(asked: dict[str, Any]) -> dict[str, Any]:
    message = codec.decode(json.dumps(asked["message"]).encode(), asked["kind"], "application/json")
    return {"payload_base64": base64.b64encode(codec.encode(message, asked["content_type"])).decode("ascii")}


def _digest(asked: dict[str, Any]) -> dict[str, Any]:
    schedule = convert.decode(_payload(asked), Kind.SCHEDULE, asked["content_type"])
    assert isinstance(schedule, Schedule)  # noqa: S101 - the registry says so; for the type checker
    return {"digest": digest(schedule)}


def _convert(asked: dict[str, Any]) -> dict[str, Any]:
    written = codec.decode(_payload(asked), asked["kind"], asked["content_type"])
    newest = convert.upgrade(written)
    if isinstance(newest, Hello):
        return {"message": canonical(newest), "losses": []}
    downgraded = convert.downgrade(newest, asked["to"])
    return {"message": canonical(downgraded.message), "losses": sorted({loss.path for loss in downgraded.losses})}


def _build(asked: dict[str, Any]) -> dict[str, Any]:
    return {"topic": topics.build(asked["device_id"], asked["channel"], asked["root"])}


def _parse(asked: dict[str, Any]) -> dict[str, Any]:
    found = topics.parse(asked["topic"], asked["root"])
    return {"device_id": found.device_id, "channel": found.channel.value}


def _match(asked: dict[str, Any]) -> dict[str, Any]:
    return {"matches": topics.matches(asked["filter"], asked["topic"])}


def _filters(asked: dict[str, Any]) -> dict[str, Any]:
    version = asked.get("protocol_version")
    if asked["side"] == "device":
        return {"filters": list(topics.device_filters(asked["device_id"], asked["root"], version=version))}
    return {"filters": list(topics.cloud_filters(asked["root"], asked.get("group"), version=version))}


def _channel(asked: dict[str, Any]) -> dict[str, Any]:
    topics.build("d", asked["channel"])  # what is no channel is refused there
    row = topics.CHANNELS[topics.Channel(asked["channel"])]
    return {"direction": row.direction.value, "qos": row.qos, "retained": row.retained, "since": row.since}


def _negotiate(asked: dict[str, Any]) -> dict[str, Any]:
    ours, theirs = msgspec.convert(asked["ours"], Offer), asked["theirs"]
    agreement = agreement_with(None, ours) if theirs is None else choose(ours, msgspec.convert(theirs, Offer))
    return {"version": agreement.version, "content_type": agreement.content_type}


def _admission(asked: dict[str, Any]) -> dict[str, Any]:
    return {"answers": played(asked["device"], asked["steps"])}


_ANSWERS: Final[dict[str, Callable[[dict[str, Any]], dict[str, Any]]]] = {
    "decode": _decode,
    "encode": _encode,
    "digest": _digest,
    "convert": _convert,
    "topic.build": _build,
    "topic.parse": _parse,
    "topic.match": _match,
    "topic.filters": _filters,
    "topic.channel": _channel,
    "negotiate": _negotiate,
    "admission": _admission,
}
