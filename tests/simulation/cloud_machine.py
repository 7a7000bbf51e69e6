"""A cloud's session under everything at once, as a state machine to inherit: a subclass says where deliveries are kept.

Devices change what they speak, answer any copy of anything that was ever sent to them, in any order, as often as they like and
in either version; the cloud is restarted; the broker refuses and the connection ends; time passes.
"""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from allye_protocol.codec import DEFAULT_CONTENT_TYPE, ENCODINGS, JSON, MSGPACK, PROTOBUF, encode
from allye_protocol.convert import decode, downgrade
from allye_protocol.delivery import OPEN, TRANSITIONS, Delivery, State
from allye_protocol.digest import digest
from allye_protocol.errors import EncodeError, ErrorCode, RefusalError
from allye_protocol.frame import Frame
from allye_protocol.ids import DeviceId, ScheduleId
from allye_protocol.messages import Ack, AckStatus, Cancel, ErrorDetail, EventType, Kind, Schedule, sequence_at
from allye_protocol.negotiation import BASELINE, Agreement
from allye_protocol.session import CloudSession
from allye_protocol.store.cloud import MemoryCloudStore
from tests.builders import HELLO, NOON, SLOT, ack, event, schedule, seeded

if TYPE_CHECKING:
    from collections.abc import Callable

    from allye_protocol.messages import Hello
    from allye_protocol.session import Dispatch
    from allye_protocol.store.cloud import CloudStore

__all__ = ["CloudMachine", "MemoryCloud"]

DEVICES = (DeviceId("a"), DeviceId("b"))
EVENING = NOON - timedelta(hours=2)
V2_ONLY: tuple[dict[str, Any], ...] = ({"soc_min_pct": 20.0}, {"dry_run": True}, {"resolution_s": 900}, {"rates_w": (1, None)})
AFTER = {before: {after for (start, _), after in TRANSITIONS.items() if start is before} | {before} for before in State}


def _reachable(before: State) -> set[State]:
    reached, size = {before}, 0
    while len(reached) > size:
        size = len(reached)
        reached |= {after for state in reached for after in AFTER[state]}
    return reached


REACHABLE = {state: _reachable(state) for state in State}


class CloudMachine(RuleBasedStateMachine):
    """Any order of everything that can happen."""

    def open_store(self) -> CloudStore:
        """The store, which survives its sessions."""
        raise NotImplementedError

    @initialize()
    def begin(self) -> None:
        self.store = self.open_store()
        self.now = EVENING
        self.random = Random(1)
        self.hellos: dict[str, Hello] = {}
        self.copies: list[tuple[Delivery, Frame]] = []
        self.submitted: dict[str, list[int]] = {name: [] for name in DEVICES}
        self.states: dict[str, State] = {}
        self.count = 0
        self.restart()

    @rule()
    def restart(self) -> None:
        self.session = CloudSession(self.store, random_bytes=seeded(), uniform=self.random.uniform)

    @rule(minutes=st.sampled_from([0, 1, 14, 60]))
    def pass_time(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes, microseconds=1)
        self.session.tick(self.now)

    @rule(
        device=st.sampled_from(DEVICES),
        versions=st.sets(st.integers(1, 3), min_size=1),
        content_types=st.sets(st.sampled_from([*ENCODINGS, "text/plain"]), min_size=1),
        retain=st.booleans(),
    )
    def say_hello(self, device: DeviceId, versions: set[int], content_types: set[str], retain: bool) -> None:
        hello = msgspec.structs.replace(
            HELLO, device_id=device, versions=tuple(versions), content_types=tuple(sorted(content_types))
        )
        self._hear("hello", device, encode(hello), retain=retain)
        self.hellos[device] = hello

    @rule(
        device=st.sampled_from(DEVICES),
        first=st.integers(0, 6),
        rates_w=st.lists(st.integers(-5, 5), min_size=1, max_size=4),
        only=st.none() | st.sampled_from(V2_ONLY),
    )
    def submit(self, device: DeviceId, first: int, rates_w: list[int], only: dict[str, Any] | None) -> None:
        """Submit a schedule, and mind that a device which speaks version 1 is refused what that cannot say."""
        self.count += 1
        sequence = self.session.sequence_for(device, self.now)
        members: dict[str, Any] = {"rates_w": rates_w, **(only or {})}
        made = schedule(f"plan-{self.count}", sequence=sequence, start=NOON + first * SLOT, device=device, **members)
        refusal = self._submitted(device, lambda: self.session.submit(made, self.now))
        if refusal is None:
            assert self.submitted[device][-1] == sequence >= sequence_at(self.now)
        elif refusal is ErrorCode.VERSION_DOWNGRADE_LOSES:
            assert only is not None
            assert self._agreement(device) == BASELINE
        else:
            assert refusal is ErrorCode.TIME_EXPIRED
            assert made.end <= self.now

    @precondition(lambda self: self.count)
    @rule(number=st.integers(1, 20), after=st.none() | st.integers(0, 6))
    def cancel(self, number: int, after: int | None) -> None:
        """Cancel a schedule, from an instant on or at once."""
        named = self.store.delivery(f"plan-{1 + number % self.count}")
        if named is not None:
            self._cancel(named.device_id, named, after)

    @rule(device=st.sampled_from(DEVICES), after=st.integers(0, 6))
    def cancel_from(self, device: str, after: int) -> None:
        """Cancel everything of a device from an instant on."""
        self._cancel(device, None, after)

    def _cancel(self, device: str, named: Delivery | None, after: int | None) -> None:
        effective_from = None if after is None else NOON + after * SLOT
        schedule_id = None if named is None else named.schedule_id
        refusal = self._submitted(
            device,
            lambda: self.session.cancel(device, self.now, schedule_id=schedule_id, effective_from=effective_from),
        )
        if refusal is ErrorCode.VERSION_DOWNGRADE_LOSES:
            assert self._agreement(device) == BASELINE
        elif refusal is not None:
            assert refusal is ErrorCode.TIME_EXPIRED
            assert named is not None
            assert named.end <= max(self.now, effective_from or self.now)

    def _submitted(self, device: str, submit: Callable[[], Delivery]) -> ErrorCode | None:
        try:
            self.submitted[device].append(submit().sequence)
        except (EncodeError, RefusalError) as error:
            return error.code
        return None

    @rule(broker=st.sampled_from(["takes", "refuses", "is slow", "is gone"]), limit=st.integers(1, 3))
    def send(self, broker: str, limit: int) -> None:
        for dispatch in self.session.frames_to_send(self.now, limit):
            self._sent(dispatch)
            if broker == "takes":
                self.session.sent(dispatch.delivery_id)
            elif broker == "refuses":
                self.session.not_sent(dispatch.delivery_id, self.now)
        if broker == "is gone":
            self.session.disconnected(self.now)

    def _sent(self, dispatch: Dispatch) -> None:
        """What goes out is the first that the device has not answered, in what it speaks, and means what was submitted."""
        delivery, frame = self._delivery(dispatch.delivery_id), dispatch.frame
        assert delivery == self.store.open_deliveries(delivery.device_id)[0]
        assert dispatch.agreement == self._agreement(delivery.device_id)
        assert frame.content_type == dispatch.agreement.content_type
        message = decode(frame.payload, delivery.kind, frame.content_type)
        assert message.device_id == delivery.device_id
        assert isinstance(message, Schedule | Cancel)
        assert (message.sequence, message.schedule_id) == (delivery.sequence, delivery.schedule_id)
        assert not isinstance(message, Schedule) or digest(message) == delivery.digest
        self.copies.append((delivery, frame))

    @precondition(lambda self: self.copies)
    @rule(
        number=st.integers(0, 10**6),
        status=st.sampled_from(AckStatus),
        code=st.sampled_from(["device.busy", "limit.power", "version.unsupported", "message.malformed", "future.code"]),
        by_hash=st.booleans(),
        old=st.booleans(),
    )
    def answer(self, number: int, status: AckStatus, code: str, by_hash: bool, old: bool) -> None:
        """A device answers any copy of anything that it was sent."""
        delivery, frame = self.copies[number % len(self.copies)]
        if delivery.kind is Kind.SCHEDULE or by_hash:
            reference = sha256(frame.payload).hexdigest() if by_hash else delivery.delivery_id
            members: dict[str, Any] = {"error": ErrorDetail(code=code)} if status is AckStatus.FAILED else {}
            said = ack(reference, status, device_id=DeviceId(delivery.device_id), digest=delivery.digest, **members)
            self._acknowledge(said, old=old)
        else:
            self._confirm(delivery, ErrorDetail(code=code) if status is AckStatus.FAILED else None)

    def _acknowledge(self, said: Ack, *, old: bool) -> None:
        self._hear("ack", said.device_id, encode(downgrade(said, 1).message if old else said))

    def _confirm(self, cancel: Delivery, error: ErrorDetail | None) -> None:
        named = None if cancel.schedule_id is None else ScheduleId(cancel.schedule_id)
        said = event(EventType.CANCELLED, named, device_id=DeviceId(cancel.device_id), sequence=cancel.sequence, error=error)
        self._hear("event", cancel.device_id, encode(said))

    @rule()
    def settle_everything(self) -> None:
        """Whatever happened before: when a device speaks as the cloud does and answers, nothing stays open."""
        self.session.disconnected(self.now)
        self.session.tick(self.now)
        for device in DEVICES:
            everything = msgspec.structs.replace(HELLO, device_id=device)
            self._hear("hello", device, encode(everything))
            self.hellos[device] = everything
        while made := self.session.frames_to_send(self.now):
            for dispatch in made:
                self._sent(dispatch)
                self.session.sent(dispatch.delivery_id)
                delivery = self._delivery(dispatch.delivery_id)
                if delivery.kind is Kind.SCHEDULE:
                    self._acknowledge(
                        ack(dispatch.delivery_id, AckStatus.APPLIED, device_id=DeviceId(delivery.device_id)), old=False
                    )
                else:
                    self._confirm(delivery, None)
        assert [self.store.open_deliveries(device) for device in DEVICES] == [[], []]
        assert self.session.next_deadline(can_send=True) is None

    def _hear(self, channel: str, device: str, payload: bytes, *, retain: bool = False) -> None:
        topic = f"devices/{device}/{channel}"
        frame = Frame(topic=topic, payload=payload, content_type=DEFAULT_CONTENT_TYPE, retain=retain)
        self.session.receive(frame, self.now)

    def _agreement(self, device: str) -> Agreement | None:
        """What the device and this cloud speak with each other, worked out by hand; ``None`` for nothing."""
        hello = self.hellos.get(device)
        if hello is None:
            return BASELINE
        versions = {1, 2} & set(hello.versions)
        possible = list(ENCODINGS) if versions and max(versions) == 2 else [DEFAULT_CONTENT_TYPE]
        preferred = sorted(possible, key=(MSGPACK, PROTOBUF, JSON).index)
        for content_type in preferred:
            if versions and content_type in hello.content_types:
                return Agreement(version=max(versions), content_type=content_type)
        return None

    def _delivery(self, delivery_id: str) -> Delivery:
        delivery = self.store.delivery(delivery_id)
        assert delivery is not None
        return delivery

    def _deliveries(self) -> list[Delivery]:
        names = {f"plan-{number}" for number in range(1, self.count + 1)}
        names |= {f"{device}#{sequence}" for device in DEVICES for sequence in self.submitted[device]}
        return [found for name in sorted(names) if (found := self.store.delivery(name)) is not None]

    @invariant()
    def states_only_move_forward(self) -> None:
        if not hasattr(self, "states"):
            return
        for delivery in self._deliveries():
            before = self.states.get(delivery.delivery_id, State.PENDING)
            assert delivery.state in REACHABLE[before]
            assert (delivery.settled_at is None) is (delivery.state in OPEN)
            self.states[delivery.delivery_id] = delivery.state

    @invariant()
    def sequences_rise_strictly(self) -> None:
        for sequences in getattr(self, "submitted", {}).values():
            assert all(before < after for before, after in pairwise(sequences))

    @invariant()
    def what_is_open_will_be_looked_at_again(self) -> None:
        if hasattr(self, "session") and any(self.store.open_deliveries(device) for device in DEVICES):
            deadline = self.session.next_deadline(can_send=True)
            assert deadline is not None
            assert deadline <= self.now + timedelta(minutes=15)


class MemoryCloud(CloudMachine):
    """Over a store in memory."""

    def open_store(self) -> CloudStore:
        return MemoryCloudStore()
