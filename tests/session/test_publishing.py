"""A delivery goes out in what its device speaks now, and waits where it cannot be said."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest

from allye_protocol import codec
from allye_protocol.codec import ENCODINGS, content_types_of
from allye_protocol.convert import decode
from allye_protocol.delivery import State
from allye_protocol.digest import digest
from allye_protocol.errors import AllyeError, ErrorCode, StoreError, TransportError
from allye_protocol.events import AlarmRaised, DeliveryHeld, DeviceUnreachable
from allye_protocol.messages import Cancel, Kind, Schedule, v1
from allye_protocol.negotiation import Agreement, Offer
from allye_protocol.session.cloud_config import OFFER
from allye_protocol.tracing import TraceContext
from tests.builders import DEVICE, HELLO, NOON, SLOT, TRACE_ID, V1_HELLO, schedule, seeded
from tests.session.cloud_world import APPLIED, EVENING, MINUTE, OTHER, Cloud

if TYPE_CHECKING:
    from datetime import datetime

    from allye_protocol.frame import Frame
    from allye_protocol.messages import Hello

NEWER = msgspec.structs.replace(HELLO, versions=(7,))


def speaking(*content_types: str) -> Hello:
    return msgspec.structs.replace(HELLO, content_types=content_types)


@pytest.mark.parametrize("content_type", content_types_of(2))
def test_a_schedule_goes_out_in_what_the_device_speaks_with_its_trace_and_an_expiry(content_type: str) -> None:
    cloud = Cloud(hello=speaking(content_type))
    cloud.submit()
    (dispatch,) = cloud.send()
    frame = dispatch.frame
    assert dispatch.agreement == Agreement(version=2, content_type=content_type)
    assert (frame.topic, frame.qos, frame.retain) == (f"devices/{DEVICE}/schedule", 1, False)
    assert frame.content_type == content_type
    assert codec.decode(frame.payload, Kind.SCHEDULE, content_type) == schedule()
    assert frame.expiry_s == (NOON + SLOT - EVENING).total_seconds()
    assert TraceContext.from_frame(frame, seeded()).trace_id == TRACE_ID


@pytest.mark.parametrize("hello", [None, V1_HELLO], ids=["no hello", "version 1"])
def test_a_device_of_version_1_gets_json_of_version_1(hello: Hello | None) -> None:
    cloud = Cloud(hello=hello)
    cloud.submit()
    (dispatch,) = cloud.send()
    assert dispatch.agreement == Agreement(version=1, content_type="application/json")
    written = codec.decode(dispatch.frame.payload, Kind.SCHEDULE, dispatch.frame.content_type)
    assert isinstance(written, v1.Schedule)
    upgraded = decode(dispatch.frame.payload, Kind.SCHEDULE)
    assert isinstance(upgraded, Schedule)
    assert (digest(upgraded), upgraded.sequence, upgraded.trace_id) == (cloud.delivery().digest, schedule().sequence, TRACE_ID)


@pytest.mark.parametrize("content_type", content_types_of(2))
def test_a_cancel_goes_out_on_its_own_channel(content_type: str) -> None:
    cloud = Cloud(hello=speaking(content_type))
    cloud.submit()
    cloud.cancel(reason="why")
    (dispatch,) = cloud.send()
    frame = dispatch.frame
    assert (frame.topic, frame.qos, frame.retain) == (f"devices/{DEVICE}/cancel", 1, False)
    cancel = codec.decode(frame.payload, Kind.CANCEL, content_type)
    assert isinstance(cancel, Cancel)
    assert (cancel.schedule_id, cancel.reason) == ("plan-a", "why")
    assert TraceContext.from_frame(frame, seeded()).trace_id == TRACE_ID


def test_the_first_preference_that_the_device_has_too_is_taken() -> None:
    for mine in (ENCODINGS, reversed(ENCODINGS)):
        preferred = [each for each in mine if each in content_types_of(2)]
        cloud = Cloud(offer=Offer(versions=(1, 2), content_types=tuple(preferred)))
        cloud.submit()
        assert cloud.send()[0].agreement.content_type == preferred[0]


def test_by_default_every_version_is_spoken_and_json_is_the_last_choice() -> None:
    assert OFFER.versions == (1, 2)
    assert OFFER.content_types[-1] == "application/json"
    assert set(ENCODINGS) <= set(OFFER.content_types)


@pytest.mark.parametrize(
    ("expires_at", "expiry_s"),
    [(None, 5400), (NOON, 3600), (NOON + 2 * SLOT, 5400), (EVENING + timedelta(milliseconds=10), 1)],
)
def test_the_broker_forgets_what_the_device_would_refuse(expires_at: datetime | None, expiry_s: int) -> None:
    cloud = Cloud()
    cloud.submit(expires_at=expires_at)
    assert cloud.send()[0].frame.expiry_s == expiry_s


def test_an_expiry_fits_into_its_four_bytes() -> None:
    cloud = Cloud(max_ahead=timedelta(days=366 * 150))
    cloud.submit(start=NOON + timedelta(days=365 * 140))
    assert cloud.send()[0].frame.expiry_s == 2**32 - 1


# Changes


def test_a_device_that_is_upgraded_while_running_changes_over_without_loss() -> None:
    cloud = Cloud(hello=None)
    cloud.submit()
    (before,) = cloud.send()
    cloud.now += MINUTE / 60
    cloud.hear(HELLO)
    (after,) = cloud.send()
    assert (before.agreement.version, after.agreement.version) == (1, 2)
    meanings = {digest(message) for message in map(_read, (before.frame, after.frame))}
    assert meanings == {cloud.delivery().digest}
    cloud.hear(APPLIED)
    assert cloud.state() is State.APPLIED


def _read(frame: Frame) -> Schedule:
    message = decode(frame.payload, Kind.SCHEDULE, frame.content_type)
    assert isinstance(message, Schedule)
    return message


@pytest.mark.parametrize(("hello", "side"), [(NEWER, "upgrade this side"), (V1_HELLO, "upgrade the peer")])
def test_without_a_common_version_a_delivery_waits_and_that_is_told_once(hello: Hello, side: str) -> None:
    cloud = Cloud(hello=None, offer=Offer(versions=(2,), content_types=OFFER.content_types))
    _, unreachable = cloud.hear(hello)
    assert isinstance(unreachable, DeviceUnreachable)
    cloud.submit()
    assert cloud.send() == []
    assert cloud.session.next_deadline(can_send=True) == cloud.now
    (held,) = cloud.session.tick(cloud.now)
    assert isinstance(held, DeliveryHeld)
    assert (held.delivery_id, held.kind, held.schedule_id, held.device_id) == ("plan-a", Kind.SCHEDULE, "plan-a", DEVICE)
    assert (held.problem.code, held.trace_id) == (ErrorCode.VERSION_UNSUPPORTED, TRACE_ID)
    assert side in held.problem.message
    assert (cloud.state(), cloud.delivery().held) == (State.PENDING, held.problem.reason())
    for _ in range(3):
        cloud.now += 15 * MINUTE
        assert cloud.send() == []
        assert not [each for each in cloud.session.tick(cloud.now) if not isinstance(each, AlarmRaised)]
    assert cloud.delivery().attempts == 0
    cloud.hear(HELLO)
    assert len(cloud.send()) == 1
    assert cloud.delivery().held == ""


def test_a_delivery_that_waits_raises_its_alarm_and_expires_as_any() -> None:
    cloud = Cloud(hello=NEWER)
    cloud.submit()
    cloud.send()
    cloud.session.tick(cloud.now)
    (alarm,) = cloud.session.tick(NOON - 30 * MINUTE)
    assert isinstance(alarm, AlarmRaised)
    cloud.session.tick(NOON + SLOT)
    assert cloud.state() is State.EXPIRED


def test_what_a_device_can_no_longer_be_told_waits_until_it_can() -> None:
    cloud = Cloud()
    cloud.submit(soc_min_pct=20.0)
    cancel = cloud.cancel(None, effective_from=NOON + SLOT)
    cloud.hear(V1_HELLO)
    assert cloud.send() == []
    (held,) = cloud.session.tick(cloud.now)
    assert isinstance(held, DeliveryHeld)
    assert (held.problem.code, held.problem.path) == (ErrorCode.VERSION_DOWNGRADE_LOSES, "/soc_min_pct")
    cloud.hear(HELLO)
    assert [dispatch.delivery_id for dispatch in cloud.send()] == ["plan-a"]
    cloud.hear(APPLIED)
    cloud.hear(V1_HELLO)
    assert cloud.send() == []
    (held,) = cloud.session.tick(cloud.now)
    assert isinstance(held, DeliveryHeld)
    assert (held.delivery_id, held.kind) == (cancel.delivery_id, Kind.CANCEL)
    cloud.hear(HELLO)
    assert [dispatch.delivery_id for dispatch in cloud.send()] == [cancel.delivery_id]


def test_a_cloud_that_is_upgraded_sends_what_waited_without_a_new_hello() -> None:
    cloud = Cloud(hello=None, offer=Offer(versions=(1,), content_types=OFFER.content_types))
    cloud.hear(msgspec.structs.replace(HELLO, versions=(2,)))
    cloud.submit()
    assert cloud.send() == []
    cloud.restart(offer=OFFER)
    deadline = cloud.session.next_deadline(can_send=True)
    cloud.now += cloud.config.retry.cap
    assert deadline == cloud.now
    assert len(cloud.send()) == 1


@pytest.mark.parametrize("call", ["begin", "ending", "commit"])
def test_what_waits_is_told_when_the_store_works_again(call: str) -> None:
    cloud = Cloud(hello=NEWER)
    cloud.submit()
    cloud.send()
    cloud.fails = call
    with pytest.raises(StoreError):
        cloud.session.tick(cloud.now)
    cloud.fails = ""
    assert len(cloud.session.tick(cloud.now)) == 1
    assert cloud.session.tick(cloud.now) == []


def test_what_is_held_for_one_device_holds_up_no_other() -> None:
    cloud = Cloud(hello=NEWER)
    cloud.store.keep_hello(msgspec.structs.replace(HELLO, device_id=OTHER), EVENING)
    cloud.submit()
    cloud.submit(name="plan-b", device=OTHER)
    assert [dispatch.delivery_id for dispatch in cloud.send()] == ["plan-b"]


def test_a_delivery_that_the_store_changed_is_held_and_holds_up_no_other() -> None:
    cloud = Cloud(hello=None)
    cloud.submit()
    cloud.submit(name="plan-b", device=OTHER)
    cloud.store.put_delivery(msgspec.structs.replace(cloud.delivery(), payload=b"{"))
    assert [dispatch.delivery_id for dispatch in cloud.send()] == ["plan-b"]
    (held,) = cloud.session.tick(cloud.now)
    assert isinstance(held, DeliveryHeld)
    assert held.problem.code is ErrorCode.STORE_CORRUPT


# Signatures


class Signing:
    """Signs by naming what it was given."""

    def __init__(self) -> None:
        self.error: AllyeError | None = None
        self.signed: list[tuple[Kind, str, bytes]] = []

    def sign(self, kind: Kind, device_id: str, payload: bytes) -> tuple[tuple[str, str], ...]:
        if self.error is not None:
            raise self.error
        self.signed.append((kind, device_id, payload))
        return (("sig", f"{len(self.signed)}"), ("kid", "key-1"))


@pytest.mark.parametrize("hello", [HELLO, None], ids=["version 2", "version 1"])
def test_schedules_are_signed_as_they_travel(hello: Hello | None) -> None:
    signer = Signing()
    cloud = Cloud(hello=hello, signer=signer)
    cloud.submit()
    (dispatch,) = cloud.send()
    assert signer.signed == [(Kind.SCHEDULE, DEVICE, dispatch.frame.payload)]
    assert (dispatch.frame.user_property("sig"), dispatch.frame.user_property("kid")) == ("1", "key-1")
    assert dispatch.frame.user_property("traceparent") is not None


def test_cancels_are_signed_too() -> None:
    signer = Signing()
    cloud = Cloud(signer=signer)
    cloud.submit()
    cloud.cancel()
    (dispatch,) = cloud.send()
    assert signer.signed == [(Kind.CANCEL, DEVICE, dispatch.frame.payload)]
    assert dispatch.frame.user_property("sig") == "1"


def test_nothing_goes_out_unsigned_while_the_signer_fails() -> None:
    signer = Signing()
    signer.error = TransportError(ErrorCode.TRANSPORT_NOT_CONNECTED, "the key service does not answer")
    cloud = Cloud(signer=signer)
    cloud.submit()
    assert cloud.send() == []
    (held,) = cloud.session.tick(cloud.now)
    assert isinstance(held, DeliveryHeld)
    assert held.problem == signer.error.problem
    signer.error = None
    cloud.now += cloud.config.retry.cap
    assert len(cloud.send()) == 1
