"""Admission: sequences of deliveries to one device, and what it answers."""

from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from tests.conformance.builder import msgpack, protobuf
from tests.conformance.builder.entries import compact, payload

if TYPE_CHECKING:
    from tests.conformance.builder.entries import Entry

JSON = "application/json"
DEVICE: dict[str, Any] = {
    "device_id": "max300-0001",
    "versions": [1, 2],
    "max_charge_w": 150_000,
    "max_discharge_w": 120_000,
    "soc_min_pct": 10.0,
    "soc_max_pct": 95.0,
    "slot_lengths_s": [300, 900, 1800, 3600],
}
NOON = "2018-06-30T12:00:00Z"
"""The device's time of the first step, unless it says otherwise."""
START = "2018-07-01T00:00:00Z"
EPOCH = 1_530_360_000_000_000
"""Noon as a sequence."""
HALF_HOUR = timedelta(minutes=30)
RECEIVED, APPLIED, FAILED = "RECEIVED", "APPLIED", "FAILED"


def plan(name: str, order: int, rates_w: list[int | None] | None = None, **more: Any) -> dict[str, Any]:
    """A schedule of version 2, ``order`` microseconds after noon."""
    return {
        "schedule_id": name,
        "device_id": "max300-0001",
        "version": 2,
        "sequence": EPOCH + order,
        "generated_at": NOON,
        "start": START,
        "rates_w": rates_w or [1_000, 2_000],
        **more,
    }


def old_plan(name: str, order: int, rates_kw: list[float]) -> dict[str, Any]:
    """A schedule of version 1, ``order`` seconds after noon."""
    start = datetime.fromisoformat(START)
    times = [_z(start + HALF_HOUR * index) for index in range(len(rates_kw) + 1)]
    return {
        "schedule_id": name,
        "device_id": "max300-0001",
        "version": 1,
        "generated_at": f"2018-06-30T12:00:{order:02}Z",
        "intervals": [
            {"start": first, "end": last, "rate_kw": rate}
            for first, last, rate in zip(times, times[1:], rates_kw, strict=False)
        ],
    }


def cancel(order: int, **more: Any) -> dict[str, Any]:
    """A cancel, ``order`` microseconds after noon."""
    return {"device_id": "max300-0001", "version": 2, "sequence": EPOCH + order, **more}


def _z(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")


def acks(name: str, *statuses: str, superseded: list[str] | None = None) -> list[dict[str, Any]]:
    """Answers to a schedule: a status, or a code for FAILED with that code; the APPLIED says what it superseded."""
    found: list[dict[str, Any]] = []
    for status in statuses:
        said = {"status": FAILED, "code": status} if "." in status else {"status": status}
        if superseded and status == APPLIED:
            said["superseded"] = superseded
        found.append({"channel": "ack", "schedule_id": name, **said})
    return found


def cancelled(order: int, code: str | None = None) -> dict[str, Any]:
    """The answer to a cancel."""
    answer: dict[str, Any] = {"channel": "event", "event": "CANCELLED", "sequence": EPOCH + order}
    return answer if code is None else {**answer, "code": code}


class Sequence:
    """Collects one sequence: each step with its answers."""

    def __init__(self, name: str, why: str, **device: Any) -> None:
        self._name, self._why = name, why
        self._device = {**DEVICE, **device}
        self._steps: list[dict[str, Any]] = []
        self._answers: list[list[dict[str, Any]]] = []
        self._versions: set[int] = set()
        self._content_types = {JSON}

    def deliver(self, body: dict[str, Any], answers: list[dict[str, Any]], at: str = NOON, **more: Any) -> Sequence:
        """A schedule or a cancel in JSON."""
        return self.bytes(
            compact(body), "schedule" if "generated_at" in body else "cancel", answers, at, body["version"], **more
        )

    def bytes(
        self, content: str | bytes, channel: str, answers: list[dict[str, Any]], at: str = NOON, version: int = 2, **more: Any
    ) -> Sequence:
        """Any payload."""
        self._versions.add(version)
        self._content_types.add(more.get("content_type", JSON))
        return self._step({"at": at, "channel": channel, "content_type": JSON, **payload(content), **more}, answers)

    def restart(self, answers: list[dict[str, Any]], at: str = NOON, **more: Any) -> Sequence:
        """The device begins anew over its store."""
        return self._step({"at": at, "restart": True, **more}, answers)

    def setpoints(self, *expected: int | None, start: str = START) -> Sequence:
        """What the device would do in each half-hour from ``start`` on."""
        for index, rate in enumerate(expected):
            at = _z(datetime.fromisoformat(start) + HALF_HOUR * index + timedelta(minutes=29))
            self._step({"at": at, "setpoint": True}, [{"setpoint_w": rate}])
        return self

    def _step(self, step: dict[str, Any], answers: list[dict[str, Any]]) -> Sequence:
        self._steps.append(step)
        self._answers.append(answers)
        return self

    def entry(self) -> Entry:
        """The vector."""
        needs = {"versions": sorted(self._versions), "content_types": sorted(self._content_types)}
        about = {"name": self._name, "why": self._why, "needs": needs}
        return {**about, "device": self._device, "steps": self._steps, "expect": {"answers": self._answers}}


def entries() -> list[Entry]:
    """``admission``."""
    return [
        sequence.entry()
        for sequence in (*_order(), *_repetition(), *_time(), *_limits(), *_cancels(), *_unread(), *_versions())
    ]


def _order() -> list[Sequence]:
    a, b, c = plan("a", 1), plan("b", 2, [3_000, 4_000, 5_000]), plan("c", 3, [None, 6_000])
    taken = (RECEIVED, APPLIED)
    return [
        Sequence("one schedule", "Received, stored, armed, applied")
        .deliver(a, acks("a", *taken))
        .setpoints(1_000, 2_000, None),
        Sequence("in order", "The newer replaces what it covers, and no more")
        .deliver(b, acks("b", *taken))
        .deliver(c, acks("c", *taken))
        .setpoints(None, 6_000, 5_000),
        Sequence("out of order", "What is older than the newest is stale: the order of sending counts, not of arrival")
        .deliver(b, acks("b", *taken))
        .deliver(a, acks("a", "order.stale"))
        .setpoints(3_000, 4_000, 5_000),
        Sequence("three out of order", "The final plan is that of the highest sequence")
        .deliver(c, acks("c", *taken))
        .deliver(a, acks("a", "order.stale"))
        .deliver(b, acks("b", "order.stale"))
        .setpoints(None, 6_000, None),
        Sequence("the same sequence under two ids", "Not above is not newer")
        .deliver(a, acks("a", *taken))
        .deliver(plan("b", 1, [9_000]), acks("b", "order.stale"))
        .setpoints(1_000, 2_000),
        Sequence("one microsecond newer", "Above is newer")
        .deliver(a, acks("a", *taken))
        .deliver(plan("b", 2, [9_000]), acks("b", *taken))
        .setpoints(9_000, 2_000),
        Sequence("a plan that is wholly replaced", "The APPLIED names what nothing is left of")
        .deliver(a, acks("a", *taken))
        .deliver(plan("b", 2, [9_000], start="2018-07-01T00:30:00Z"), acks("b", *taken))
        .deliver(plan("c", 3, [7_000, 8_000]), acks("c", *taken, superseded=["a", "b"]))
        .setpoints(7_000, 8_000),
        Sequence("a running slot is switched", "A newer plan counts at once, in the middle of a slot too")
        .deliver(a, acks("a", *taken))
        .deliver(plan("b", 12 * 3600 * 10**6, [9_000]), acks("b", *taken), "2018-07-01T00:10:00Z")
        .setpoints(9_000, 2_000),
        Sequence("another resolution over a plan", "Each instant is the highest sequence's that covers it")
        .deliver(plan("a", 1, [1_000, 2_000, 3_000]), acks("a", *taken))
        .deliver(plan("b", 2, [7_000], start="2018-07-01T00:30:00Z", resolution_s=300), acks("b", *taken))
        .setpoints(1_000, 2_000, 3_000)
        ._step({"at": "2018-07-01T00:32:00Z", "setpoint": True}, [{"setpoint_w": 7_000}]),
        Sequence("a dry run", "Everything is answered and nothing changes, the order neither")
        .deliver(plan("x", 9, [5_000], dry_run=True), acks("x", *taken))
        .setpoints(None)
        .deliver(a, acks("a", *taken))
        .setpoints(1_000),
        Sequence("a jitter", "This device's share of it is a hash of the ids: the same on every device and after every restart")
        .deliver(plan("a", 1, [1_000], start_jitter_s=1800), acks("a", *taken))
        ._step({"at": _z(_jittered("a") - timedelta(seconds=1)), "setpoint": True}, [{"setpoint_w": None}])
        ._step({"at": _z(_jittered("a")), "setpoint": True}, [{"setpoint_w": 1_000}]),
    ]


def _jittered(schedule_id: str) -> datetime:
    """When a schedule with a jitter of 1800 s begins on the device."""
    seed = sha256(f"max300-0001/{schedule_id}".encode()).digest()
    return datetime.fromisoformat(START) + timedelta(seconds=int.from_bytes(seed[:8], "big") % 1801)


def _repetition() -> list[Sequence]:
    a, b = plan("a", 1), plan("b", 2, [3_000])
    other = plan("a", 5, [9_000])
    taken = (RECEIVED, APPLIED)
    late = "2018-07-03T00:00:00Z"
    return [
        Sequence("twice", "The last answer again, and no other effect")
        .deliver(a, acks("a", *taken))
        .deliver(a, acks("a", APPLIED))
        .deliver(a, acks("a", APPLIED))
        .setpoints(1_000, 2_000),
        Sequence("twice in two encodings", "It is the meaning that is the same, not the bytes")
        .deliver(a, acks("a", *taken))
        .bytes(msgpack.message(a), "schedule", acks("a", APPLIED), content_type=msgpack.CONTENT_TYPE)
        .bytes(protobuf.message("schedule", a), "schedule", acks("a", APPLIED), content_type=protobuf.CONTENT_TYPE),
        Sequence("twice with another sequence", "What it means is the same, so it is the same schedule")
        .deliver(a, acks("a", *taken))
        .deliver({**a, "sequence": EPOCH + 7, "metadata": {"try": "2"}}, acks("a", APPLIED)),
        Sequence("again after a newer one", "A repetition is recognised before it is found to be old")
        .deliver(a, acks("a", *taken))
        .deliver(b, acks("b", *taken))
        .deliver(a, acks("a", APPLIED))
        .setpoints(3_000, 2_000),
        Sequence("again after its horizon", "A late copy of an applied schedule still gets its APPLIED")
        .deliver(a, acks("a", *taken))
        .deliver(a, acks("a", APPLIED), late),
        Sequence("again with an untrusted clock", "A repetition is recognised without a clock")
        .deliver(a, acks("a", *taken))
        .deliver(a, acks("a", APPLIED), clock_trusted=False),
        Sequence("the same id with another content", "An id names one content for ever; the first stays")
        .deliver(a, acks("a", *taken))
        .deliver(other, acks("a", "order.conflict"))
        .deliver(a, acks("a", APPLIED))
        .setpoints(1_000, 2_000),
        Sequence("a conflict before expiry", "What the id means is asked before the time is")
        .deliver(a, acks("a", *taken))
        .deliver(other, acks("a", "order.conflict"), late),
        Sequence("a refusal again", "A refusal that no retry can mend is final for its id")
        .deliver(plan("a", 1, [150_001]), acks("a", "limit.power"))
        .deliver(plan("a", 1, [150_001]), acks("a", "limit.power")),
        Sequence("a refused id with a content that would do", "The id names what was refused")
        .deliver(plan("a", 1, [150_001]), acks("a", "limit.power"))
        .deliver(plan("a", 2, [150_000]), acks("a", "order.conflict")),
        Sequence("after a refusal a new id", "A refused schedule leaves the order as it was")
        .deliver(plan("a", 5, [150_001]), acks("a", "limit.power"))
        .deliver(plan("b", 4, [150_000]), acks("b", *taken)),
        Sequence("the battery refuses for good", "FAILED is terminal for the id")
        .deliver(a, acks("a", RECEIVED, "driver.rejected"), battery="driver.rejected")
        .deliver(a, acks("a", *taken))
        .setpoints(1_000),
        Sequence("the battery refuses for now", "A code that a retry can mend leaves the id open")
        .deliver(a, acks("a", RECEIVED, "device.local_mode"), battery="device.local_mode")
        .deliver(a, acks("a", RECEIVED, "device.local_mode"), battery="device.local_mode")
        .deliver(a, acks("a", *taken))
        .setpoints(1_000),
        Sequence("the battery's limit refuses", "A code that no retry can mend is final")
        .deliver(a, acks("a", RECEIVED, "limit.import"), battery="limit.import")
        .deliver(a, acks("a", "limit.import"))
        .setpoints(None),
        Sequence("a restart", "What was applied stays applied, and is recognised")
        .deliver(a, acks("a", *taken))
        .restart([])
        .deliver(a, acks("a", APPLIED))
        .deliver(other, acks("a", "order.conflict"))
        .setpoints(1_000, 2_000),
        Sequence("a restart and an older one", "The order survives")
        .deliver(b, acks("b", *taken))
        .restart([])
        .deliver(a, acks("a", "order.stale")),
        Sequence("a restart before the battery answered", "What was received is taken up again by itself")
        .deliver(a, acks("a", RECEIVED), battery="silent")
        .restart(acks("a", APPLIED))
        .deliver(a, acks("a", APPLIED))
        .setpoints(1_000),
        Sequence("three times without an answer", "What ended the process three times is not tried a fourth time")
        .deliver(a, acks("a", RECEIVED), battery="silent")
        .restart([], battery="silent")
        .restart([], battery="silent")
        .restart(acks("a", "internal.quarantined"))
        .deliver(a, acks("a", "internal.quarantined"))
        .setpoints(None),
        Sequence("a restart after its horizon", "What was never applied and is over has expired")
        .deliver(a, acks("a", RECEIVED), battery="silent")
        .restart([*acks("a", "time.expired"), {"channel": "event", "event": "EXPIRED", "sequence": EPOCH + 1}], late),
        Sequence("again before the battery answered", "The last answer is RECEIVED")
        .deliver(a, acks("a", RECEIVED), battery="silent")
        .deliver(a, acks("a", RECEIVED)),
    ]


def _time() -> list[Sequence]:
    a, taken = plan("a", 1), (RECEIVED, APPLIED)
    ahead = 5 * 60 * 10**6
    return [
        Sequence("its horizon is over", "The last slot ended at this instant").deliver(
            a, acks("a", "time.expired"), "2018-07-01T01:00:00Z"
        ),
        Sequence("its last microsecond", "A slot in progress is joined at once").deliver(
            a, acks("a", *taken), "2018-07-01T00:59:59.999999Z"
        ),
        Sequence("it has expired", "From that instant on").deliver(
            plan("a", 1, expires_at="2018-06-30T12:00:00Z"), acks("a", "time.expired")
        ),
        Sequence("it is about to expire", "Until that instant").deliver(
            plan("a", 1, expires_at="2018-06-30T12:00:00.000001Z"), acks("a", *taken)
        ),
        Sequence("again after it has expired", "Expiry is about admitting, not about what was admitted")
        .deliver(plan("a", 1, expires_at="2018-06-30T13:00:00Z"), acks("a", *taken))
        .deliver(plan("a", 1, expires_at="2018-06-30T13:00:00Z"), acks("a", APPLIED), "2018-06-30T14:00:00Z"),
        Sequence("eight days ahead", "The farthest start").deliver(
            plan("a", 1, start="2018-07-08T12:00:00Z"), acks("a", *taken)
        ),
        Sequence("more than eight days ahead", "No plan is known so early").deliver(
            plan("a", 1, start="2018-07-08T12:30:00Z"), acks("a", "time.too_far")
        ),
        Sequence("five minutes from the future", "Clocks differ").deliver(plan("a", ahead), acks("a", *taken)),
        Sequence("more than five minutes from the future", "One bad message must not lock the device out: it is not admitted")
        .deliver(plan("a", ahead + 1), acks("a", "order.in_future"))
        .deliver(plan("b", 1), acks("b", *taken)),
        Sequence("from the future, later", "One of two clocks was wrong: the same message is right once both are")
        .deliver(plan("a", ahead + 1), acks("a", "order.in_future"))
        .deliver(plan("a", ahead + 1), acks("a", *taken), "2018-06-30T12:00:01Z"),
        Sequence("an untrusted clock", "Without the time nothing can be executed; worth a repetition")
        .deliver(a, acks("a", "device.clock_untrusted"), clock_trusted=False)
        .deliver(a, acks("a", *taken))
        .setpoints(1_000),
        Sequence("an untrusted clock of 1970", "Nothing is compared with a clock that is not trusted").deliver(
            a, acks("a", "device.clock_untrusted"), "1970-01-01T00:00:30Z", clock_trusted=False
        ),
        Sequence("an untrusted clock and an old order", "The order needs no clock")
        .deliver(plan("b", 2), acks("b", *taken))
        .deliver(a, acks("a", "order.stale"), clock_trusted=False),
        Sequence("an untrusted clock and a setpoint beyond the limit", "Limits need no clock").deliver(
            plan("a", 1, [150_001]), acks("a", "limit.power"), clock_trusted=False
        ),
        Sequence("stale before expired", "The order is asked before the time")
        .deliver(plan("b", 2, start="2018-07-02T00:00:00Z"), acks("b", *taken))
        .deliver(a, acks("a", "order.stale"), "2018-07-01T02:00:00Z"),
        Sequence("expired before its limit", "The time is asked before the power").deliver(
            plan("a", 1, [150_001]), acks("a", "time.expired"), "2018-07-01T01:00:00Z"
        ),
    ]


def _limits() -> list[Sequence]:
    taken = (RECEIVED, APPLIED)
    return [
        Sequence("the largest charge", "The limit itself is within it").deliver(plan("a", 1, [150_000]), acks("a", *taken)),
        Sequence("a watt above the charge limit", "No plan is clamped: it is executed as it was priced or not at all")
        .deliver(plan("a", 1, [0, 150_001]), acks("a", "limit.power"))
        .setpoints(None),
        Sequence("the largest discharge", "Its limit may be another").deliver(plan("a", 1, [-120_000]), acks("a", *taken)),
        Sequence("a watt above the discharge limit", "Its limit may be another").deliver(
            plan("a", 1, [-120_001]), acks("a", "limit.power")
        ),
        Sequence("no setpoint is within every limit", "null is no power", max_charge_w=0, max_discharge_w=0).deliver(
            plan("a", 1, [None]), acks("a", *taken)
        ),
        Sequence("a battery that cannot charge", "The device's own limit is what counts", max_charge_w=0)
        .deliver(plan("a", 1, [0, -1]), acks("a", *taken))
        .deliver(plan("b", 2, [1]), acks("b", "limit.power")),
        Sequence("a length of slots that the device does not take", "It says in its hello which", slot_lengths_s=[1800])
        .deliver(plan("a", 1, resolution_s=900), acks("a", "time.bad_duration"))
        .deliver(plan("b", 2), acks("b", *taken)),
        Sequence("a charge band above the device's", "Nothing of the device's own band is left").deliver(
            plan("a", 1, soc_min_pct=95.001), acks("a", "limit.soc")
        ),
        Sequence("a charge band below the device's", "Nothing of the device's own band is left").deliver(
            plan("a", 1, soc_max_pct=9.999), acks("a", "limit.soc")
        ),
        Sequence("a charge band that touches the device's", "A point is left of it")
        .deliver(plan("a", 1, soc_min_pct=95.0), acks("a", *taken))
        .deliver(plan("b", 2, soc_max_pct=10.0), acks("b", *taken, superseded=["a"])),
        Sequence("a charge band beyond the device's", "It narrows, and never widens: what is beyond has no effect").deliver(
            plan("a", 1, soc_min_pct=0.0, soc_max_pct=100.0), acks("a", *taken)
        ),
    ]


def _cancels() -> list[Sequence]:
    a, taken = plan("a", 1, [1_000, 2_000, 3_000, 4_000]), (RECEIVED, APPLIED)
    b = plan("b", 2, [5_000, 6_000])
    return [
        Sequence("a cancel of one", "Nothing of it is left, and its id stays unusable")
        .deliver(a, acks("a", *taken))
        .deliver(cancel(2, schedule_id="a"), [cancelled(2)])
        .setpoints(None, None)
        .deliver({**a, "sequence": EPOCH + 3, "rates_w": [9_000]}, acks("a", "order.conflict")),
        Sequence("a cancel of one, and the schedule again", "A repetition gets the last answer, and stays cancelled")
        .deliver(a, acks("a", *taken))
        .deliver(cancel(2, schedule_id="a"), [cancelled(2)])
        .deliver(a, acks("a", APPLIED))
        .setpoints(None, None),
        Sequence("a cancel before its schedule", "The tombstone waits for it")
        .deliver(cancel(2, schedule_id="a"), [cancelled(2)])
        .deliver({**a, "sequence": EPOCH + 3}, acks("a", "order.cancelled"))
        .setpoints(None),
        Sequence("a cancel before its schedule, and a restart", "The tombstone survives")
        .deliver(cancel(2, schedule_id="a"), [cancelled(2)])
        .restart([])
        .deliver({**a, "sequence": EPOCH + 3}, acks("a", "order.cancelled")),
        Sequence("a cancel from an instant on", "What is before it stays")
        .deliver(a, acks("a", *taken))
        .deliver(cancel(2, effective_from="2018-07-01T01:00:00Z"), [cancelled(2)])
        .setpoints(1_000, 2_000, None, None),
        Sequence("a cancel in the middle of a slot", "The slot ends there by the default control")
        .deliver(a, acks("a", *taken))
        .deliver(cancel(2, schedule_id="a", effective_from="2018-07-01T00:40:00Z"), [cancelled(2)])
        .setpoints(1_000, None, None)
        ._step({"at": "2018-07-01T00:39:59Z", "setpoint": True}, [{"setpoint_w": 2_000}]),
        Sequence("a cancel of the upper of two", "What is under it was replaced, and does not come back")
        .deliver(a, acks("a", *taken))
        .deliver(b, acks("b", *taken))
        .deliver(cancel(3, schedule_id="b"), [cancelled(3)])
        .setpoints(None, None, 3_000, 4_000),
        Sequence("a cancel twice", "Answered as before, by its sequence")
        .deliver(a, acks("a", *taken))
        .deliver(cancel(2, schedule_id="a"), [cancelled(2)])
        .deliver(cancel(2, schedule_id="a"), [cancelled(2)]),
        Sequence("a cancel that is older than a schedule", "Cancels and schedules share one order")
        .deliver(b, acks("b", *taken))
        .deliver(cancel(1, effective_from="2018-07-01T00:00:00Z"), [cancelled(1, "order.stale")])
        .setpoints(5_000, 6_000),
        Sequence("a schedule that is older than a cancel", "Cancels and schedules share one order")
        .deliver(cancel(2, effective_from="2018-07-01T00:00:00Z"), [cancelled(2)])
        .deliver(a, acks("a", "order.stale"))
        .setpoints(None),
        Sequence("a schedule after a cancel of everything", "What is newer counts")
        .deliver(a, acks("a", *taken))
        .deliver(cancel(2, effective_from="2018-07-01T00:00:00Z"), [cancelled(2)])
        .deliver(plan("c", 3, [7_000]), acks("c", *taken))
        .setpoints(7_000, None),
        Sequence("a cancel from the future", "One bad message must not lock the device out")
        .deliver(cancel(5 * 60 * 10**6 + 1, schedule_id="a"), [cancelled(5 * 60 * 10**6 + 1, "order.in_future")])
        .deliver(a, acks("a", *taken)),
        Sequence("a cancel with an untrusted clock", "From when on it counts cannot be told")
        .deliver(a, acks("a", *taken))
        .deliver(cancel(2, schedule_id="a"), [cancelled(2, "device.clock_untrusted")], clock_trusted=False)
        .setpoints(1_000),
        Sequence("a cancel before the battery answered", "What waits to be applied has failed")
        .deliver(a, acks("a", RECEIVED), battery="silent")
        .deliver(cancel(2, schedule_id="a"), [*acks("a", "order.cancelled"), cancelled(2)])
        .setpoints(None),
        Sequence("a cancel of what is not known", "It is taken all the same: the schedule may yet come").deliver(
            cancel(2, schedule_id="nobody"), [cancelled(2)]
        ),
        Sequence("an empty payload", "An empty payload never means cancel")
        .deliver(a, acks("a", *taken))
        .bytes("", "cancel", acks(sha256(b"").hexdigest(), "message.malformed"))
        .setpoints(1_000),
    ]


def _unread() -> list[Sequence]:
    taken = (RECEIVED, APPLIED)
    broken = compact(plan("a", 1))[:-1]
    too_large = compact(plan("a", 1)) + " " * 65_536
    slot = plan("a", 1, start="2018-07-01T00:10:00Z")
    return [
        Sequence("what cannot be read", "Its SHA-256 stands for the id").bytes(
            broken, "schedule", acks(sha256(broken.encode()).hexdigest(), "message.malformed")
        ),
        Sequence("over the size limit", "It is not parsed, so its SHA-256 stands for the id").bytes(
            too_large, "schedule", acks(sha256(too_large.encode()).hexdigest(), "message.too_large")
        ),
        Sequence("what breaks a rule", "The id could be read").deliver(slot, acks("a", "time.not_aligned")),
        Sequence("what breaks a rule, mended", "What was never admitted names nothing yet")
        .deliver(slot, acks("a", "time.not_aligned"))
        .deliver(plan("a", 1), acks("a", *taken)),
        Sequence("an id that is none", "Its SHA-256 stands for it").deliver(
            plan("a b", 1), acks(sha256(compact(plan("a b", 1)).encode()).hexdigest(), "message.invalid")
        ),
        Sequence("another device's schedule", "Answered on the device's own topic, once a minute")
        .deliver({**plan("a", 1), "device_id": "max300-0002"}, acks("a", "message.wrong_device"))
        .deliver({**plan("b", 2), "device_id": "max300-0002"}, [], "2018-06-30T12:00:59Z")
        .deliver({**plan("c", 3), "device_id": "max300-0002"}, acks("c", "message.wrong_device"), "2018-06-30T12:01:00Z")
        .setpoints(None),
        Sequence("another device's topic", "The topic's device, the payload's and this one are the same")
        .deliver(plan("a", 1), acks("a", "message.wrong_device"), to="max300-0002")
        .setpoints(None),
        Sequence("an unknown version", "It is never guessed").bytes(
            compact({**plan("a", 1), "version": 3}), "schedule", acks("a", "version.unsupported")
        ),
    ]


def _versions() -> list[Sequence]:
    taken = (RECEIVED, APPLIED)
    one, two = old_plan("one", 1, [1.0, 2.0]), old_plan("two", 2, [3.0])
    return [
        Sequence("version 1 in order", "generated_at orders")
        .deliver(one, acks("one", *taken))
        .deliver(two, acks("two", *taken))
        .setpoints(3_000, 2_000),
        Sequence("version 1 out of order", "generated_at orders")
        .deliver(two, acks("two", *taken))
        .deliver(one, acks("one", "order.stale"))
        .setpoints(3_000, None),
        Sequence("version 1 twice", "The last answer again")
        .deliver(one, acks("one", *taken))
        .deliver(one, acks("one", APPLIED)),
        Sequence("version 1 in conflict", "An id names one content for ever")
        .deliver(one, acks("one", *taken))
        .deliver(old_plan("one", 5, [9.0]), acks("one", "order.conflict")),
        Sequence("version 1 beyond the limit", "The device's own limit").deliver(
            old_plan("one", 1, [150.001]), acks("one", "limit.power")
        ),
        Sequence("version 1 expired", "Its horizon is over").deliver(one, acks("one", "time.expired"), "2018-07-01T01:00:00Z"),
        Sequence("version 1 to a device of version 1", "It need not speak version 2", versions=[1])
        .deliver(one, acks("one", *taken))
        .deliver(plan("b", 10**7), acks("b", "version.unsupported"))
        .setpoints(1_000, 2_000),
        Sequence("version 2 after version 1", "One order: the microseconds of generated_at are the sequence")
        .deliver(two, acks("two", *taken))
        .deliver(plan("b", 1_999_999, [7_000]), acks("b", "order.stale"))
        .deliver(plan("c", 2_000_001, [8_000]), acks("c", *taken, superseded=["two"]))
        .setpoints(8_000),
        Sequence("the same plan in both versions", "A version-1 schedule and its upgrade mean the same")
        .deliver(one, acks("one", *taken))
        .deliver(plan("one", 1_000_000, [1_000, 2_000]), acks("one", APPLIED)),
    ]
