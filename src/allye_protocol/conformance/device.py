"""A device in a sequence of deliveries: wire payloads and times in; statuses, codes and setpoints out.

The battery takes every schedule at once, unless a step says otherwise: then it refuses with a code, or is silent, as if the
process had ended before the battery answered. Nothing is published elsewhere, and the broker takes every answer.
"""

from __future__ import annotations

import base64
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from allye_protocol import convert, topics
from allye_protocol.admission import Policy
from allye_protocol.errors import ErrorCode, Problem
from allye_protocol.events import ScheduleAdmitted
from allye_protocol.frame import Frame
from allye_protocol.ids import device_id
from allye_protocol.messages import Ack, Capabilities, Hello, ScheduleEvent
from allye_protocol.messages.registry import CHANNEL_OF
from allye_protocol.session import DeviceConfig, DeviceSession
from allye_protocol.store import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Iterable

    from allye_protocol.events import DeviceEvent

__all__ = ["played"]

SILENT: Final = "silent"
_KINDS: Final = {channel: kind for kind, channel in CHANNEL_OF.items()}


def played(device: dict[str, Any], steps: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Play a sequence.

    :param device: who the device is and what it can do.
    :param steps: what happens, in the order in which it happens, each with the device's time.
    :returns: for each step what it is answered by, in order.
    """
    config, store = _config(device), MemoryStore()
    session = _session(config, store)
    told = []
    for step in steps:
        now = datetime.fromisoformat(step["at"])
        if step.get("restart"):
            session = _session(config, store)
            _settle(session, session.resume(now), now, step.get("battery"))
        elif step.get("setpoint"):
            told.append([{"setpoint_w": _setpoint(session, now)}])
            continue
        else:
            frame = Frame(
                topic=topics.build(step.get("to", device["device_id"]), step["channel"]),
                payload=base64.b64decode(step["payload_base64"]),
                content_type=step["content_type"],
            )
            events = session.receive(frame, now, clock_trusted=step.get("clock_trusted", True))
            _settle(session, events, now, step.get("battery"))
        told.append(_answers(session, now))
    return told


def _config(device: dict[str, Any]) -> DeviceConfig:
    able = Capabilities(
        max_charge_w=device["max_charge_w"],
        max_discharge_w=device["max_discharge_w"],
        capacity_wh=1,
        power_step_w=1,
        soc_min_pct=device["soc_min_pct"],
        soc_max_pct=device["soc_max_pct"],
        slot_lengths_s=tuple(device["slot_lengths_s"]),
    )
    hello = Hello(
        device_id=device_id(device["device_id"]),
        versions=tuple(device["versions"]),
        content_types=("application/json",),
        model="",
        firmware="",
        library="",
        capabilities=able,
    )
    policy = Policy(
        max_charge_w=able.max_charge_w,
        max_discharge_w=able.max_discharge_w,
        soc_min_pct=able.soc_min_pct,
        soc_max_pct=able.soc_max_pct,
        slot_lengths_s=able.slot_lengths_s,
    )
    return DeviceConfig(hello=hello, policy=policy)


def _session(config: DeviceConfig, store: MemoryStore) -> DeviceSession:
    return DeviceSession(config, store, random_bytes=lambda count: b"\x01" * count)


def _settle(session: DeviceSession, events: Iterable[DeviceEvent], now: datetime, battery: str | None) -> None:
    """What the battery says to what was admitted."""
    for event in events:
        if isinstance(event, ScheduleAdmitted) and battery is None:
            session.applied(event.schedule.schedule_id, now)
        elif isinstance(event, ScheduleAdmitted) and battery is not None and battery != SILENT:
            session.failed(event.schedule.schedule_id, Problem(code=ErrorCode(battery), message="the battery refused"), now)


def _setpoint(session: DeviceSession, now: datetime) -> int | None:
    slot = session.plan.at(now)
    return slot.rate_w if slot is not None and slot.since <= now < slot.until else None


def _answers(session: DeviceSession, now: datetime) -> list[dict[str, Any]]:
    told = []
    while outgoing := session.frames_to_send(now):
        for number, frame in outgoing:
            session.sent(number)
            told.append(_told(frame))
    return told


def _told(frame: Frame) -> dict[str, Any]:
    channel = topics.parse(frame.topic).channel
    message = convert.decode(frame.payload, _KINDS[channel], frame.content_type)
    answer: dict[str, Any] = {"channel": channel.value}
    if isinstance(message, Ack):
        answer |= {"schedule_id": message.schedule_id, "status": message.status.value}
        if message.superseded:
            answer["superseded"] = sorted(message.superseded)
    elif isinstance(message, ScheduleEvent):
        answer |= {"event": message.event.value, "sequence": message.sequence}
    error = message.error if isinstance(message, (Ack, ScheduleEvent)) else None
    return answer if error is None else {**answer, "code": error.code}
