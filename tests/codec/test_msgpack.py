"""MessagePack: the fast road never differs from the slow one, and what msgspec alone would let pass is refused."""

from __future__ import annotations

import math
import struct
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allye_protocol.codec import MSGPACK, decode, encode, problems
from allye_protocol.codec import msgpack as msgpack_encoding
from allye_protocol.errors import DecodeError, ErrorCode
from allye_protocol.messages import Schedule
from allye_protocol.messages.registry import BY_TYPE, Kind
from tests import builders
from tests.codec.bodies import BAD_2, VALID_2, packed
from tests.fuzz.fuzz_decode import check
from tests.fuzz.msgpack_bodies import pack
from tests.fuzz.trees import Members, Verbatim, change
from tests.strategies import v2_messages

if TYPE_CHECKING:
    import random

randoms = st.randoms(use_true_random=False)


class SlowRoadError(Exception):
    """Raised in place of the slow road."""


@pytest.fixture
def _fast_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise SlowRoadError

    monkeypatch.setattr(msgpack_encoding, "_explained", refuse)
    monkeypatch.setattr(msgpack_encoding, "checked", refuse)


@pytest.mark.usefixtures("_fast_only")
@given(v2_messages)
def test_what_this_library_writes_takes_the_fast_road(message: Any) -> None:
    assert decode(encode(message, MSGPACK), BY_TYPE[type(message)].kind) == message


@pytest.mark.usefixtures("_fast_only")
@pytest.mark.parametrize("kind", VALID_2)
def test_a_body_in_another_order_takes_the_fast_road_with_times_as_texts_too(kind: Kind) -> None:
    tree = VALID_2[kind]
    backwards = dict(reversed(tree.items()))
    for payload in (packed(backwards), msgspec.msgpack.encode(tree), msgspec.msgpack.encode(backwards)):
        assert decode(payload, kind) == decode(packed(tree), kind)


@pytest.mark.usefixtures("_fast_only")
def test_members_that_are_written_at_their_default_take_the_fast_road() -> None:
    tree = {**VALID_2[Kind.SCHEDULE], "start": "2018-07-01T00:00:00Z"}
    plain = {
        "resolution_s": 1800,
        "start_jitter_s": 0,
        "dry_run": False,
        "metadata": {},
        "soc_min_pct": None,
        "soc_max_pct": None,
    }
    schedule = decode(packed({**tree, **plain}), Kind.SCHEDULE)
    assert isinstance(schedule, Schedule)
    assert (schedule.resolution_s, schedule.dry_run, schedule.metadata) == (1800, False, {})


def text(word: str) -> bytes:
    return bytes([0xA0 | len(word)]) + word.encode()


def grown(payload: bytes, *members: tuple[str, bytes]) -> bytes:
    """The map with more members at its end."""
    head, size = (3, int.from_bytes(payload[1:3], "big")) if payload[0] == 0xDE else (1, payload[0] & 0x0F)
    added = b"".join(text(name) + value for name, value in members)
    return b"\xde" + (size + len(members)).to_bytes(2, "big") + payload[head:] + added


PLAN = encode(builders.schedule(rates_w=(1, None)), MSGPACK)
ACK = encode(builders.ack(), MSGPACK)
STATUS = packed(VALID_2[Kind.DEVICE_STATUS])


def refusal(payload: bytes, kind: Kind) -> tuple[ErrorCode, str]:
    with pytest.raises(DecodeError) as caught:
        decode(payload, kind, MSGPACK)
    assert problems(payload, kind, MSGPACK)[0] == caught.value.problem
    return caught.value.code, caught.value.path


@pytest.mark.parametrize(
    ("members", "path"),
    [
        ([("device_id", text("b"))], "/device_id"),
        ([("version", b"\x02")], "/version"),
        ([("x", b"\x01"), ("x", b"\x01")], "/x"),
        ([("x", b"\x91\x82" + text("y") + b"\x01" + text("y") + b"\x02")], "/x/0/y"),
        ([("metadata", b"\x82" + text("a") + text("b") + text("a") + text("c"))], "/metadata/a"),
        ([("resolution_s", b"\xcd\x07\x08"), ("resolution_s", b"\xcd\x07\x08")], "/resolution_s"),
        ([("expires_at", b"\xc0"), ("expires_at", b"\xc0")], "/expires_at"),
    ],
)
def test_a_name_that_comes_twice_is_refused_wherever_it_stands(members: list[tuple[str, bytes]], path: str) -> None:
    assert refusal(grown(PLAN, *members), Kind.SCHEDULE) == (ErrorCode.MESSAGE_DUPLICATE_KEY, path)


def test_unknown_members_are_ignored_whatever_they_hold() -> None:
    for value in (
        b"\xc0",
        b"\x05",
        text("x"),
        b"\x90",
        b"\x80",
        b"\xc4\x01\x00",
        b"\xd6\xff\x00\x00\x00\x00",
        b"\xca\x00\x00\x00\x00",
    ):
        assert decode(grown(PLAN, ("x", value)), Kind.SCHEDULE) == decode(PLAN, Kind.SCHEDULE)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("form", ["f", "d"])
def test_a_number_that_is_not_finite_is_refused_wherever_it_stands(value: float, form: str) -> None:
    number = (b"\xca" if form == "f" else b"\xcb") + struct.pack(f">{form}", value)
    for name in ("x", "soc_min_pct", "ramp_w_per_s"):
        assert refusal(grown(PLAN, (name, number)), Kind.SCHEDULE) == (ErrorCode.MESSAGE_NON_FINITE_NUMBER, f"/{name}")
    detail = b"\x82" + text("code") + text("a.b") + text("value") + number
    failed = grown(ACK.replace(text("RECEIVED"), text("FAILED")), ("error", detail))
    assert refusal(failed, Kind.ACK) == (ErrorCode.MESSAGE_NON_FINITE_NUMBER, "/error/value")


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (PLAN + b"\xc0", "after the end"),
        (PLAN[:-1], "ends within a value"),
        (grown(PLAN, ("x", b"\xc1")), "begins no value"),
        (grown(PLAN, ("x", b"\xa1\xff")), "not UTF-8"),
        (grown(PLAN, ("traceparent", b"\xa3\xed\xa0\x80")), "not UTF-8"),
        (grown(PLAN, ("x", b"\xd4\x05\x00")), "extension 5"),
        (grown(PLAN, ("expires_at", b"\xd4\xff\x00")), "timestamp of 1 bytes"),
        (grown(PLAN, ("x", b"\x81\x01\x02")), "is no text"),
        (grown(PLAN, ("x", b"\x81\xc4\x01a\x02")), "is no text"),
        (grown(PLAN, ("x", b"\xdd\xff\xff\xff\xff")), "4294967295 values are announced"),
        (grown(PLAN, ("metadata", b"\xdf\xff\xff\xff\xff")), "values are announced"),
        (grown(PLAN, ("rates_w", b"\xdd\xff\xff\xff\xff")), "values are announced"),
        (grown(PLAN, ("traceparent", b"\xdb\xff\xff\xff\xff")), "bytes are missing"),
        (grown(PLAN, ("x", b"\x91" * 65 + b"\xc0")), "nested more than 64 deep"),
        (b"\xde\xff", "ends within a value"),
    ],
)
def test_what_is_no_messagepack_or_none_that_is_read_is_malformed(payload: bytes, words: str) -> None:
    assert refusal(payload, Kind.SCHEDULE) == (ErrorCode.MESSAGE_MALFORMED, "")
    assert words in problems(payload, Kind.SCHEDULE, MSGPACK)[0].message


@pytest.mark.parametrize("payload", [b"\x90", b"\xc0", b"\x05", text("hello"), b"\xc4\x00", b"\xd6\xff\x00\x00\x00\x00"])
def test_what_is_no_map_is_no_message(payload: bytes) -> None:
    assert refusal(payload, Kind.SCHEDULE) == (ErrorCode.MESSAGE_INVALID, "")


def test_a_body_without_a_version_is_told_what_is_missing() -> None:
    tree = {name: value for name, value in VALID_2[Kind.ACK].items() if name != "version"}
    assert refusal(packed(tree), Kind.ACK) == (ErrorCode.MESSAGE_INVALID, "/version")


@pytest.mark.parametrize("value", [b"\xc4\x01a", b"\xd6\xff\x00\x00\x00\x00", b"\x05", b"\xc0"])
def test_an_id_is_a_text(value: bytes) -> None:
    tree = {name: each for name, each in VALID_2[Kind.ACK].items() if name != "device_id"}
    assert refusal(grown(packed(tree), ("device_id", value)), Kind.ACK) == (ErrorCode.MESSAGE_INVALID, "/device_id")


def timestamp(seconds: int, nanoseconds: int = 0) -> bytes:
    return b"\xc7\x0c\xff" + struct.pack(">Iq", nanoseconds, seconds)


NOON_S = int(builders.NOON.timestamp())


def event_at(value: bytes) -> bytes:
    tree = {name: each for name, each in VALID_2[Kind.DEVICE_STATUS].items() if name != "timestamp"}
    return grown(packed(tree), ("timestamp", value))


@pytest.mark.parametrize(
    "value",
    [
        b"\xd6\xff" + struct.pack(">I", NOON_S),
        b"\xd7\xff" + struct.pack(">Q", NOON_S),
        b"\xc7\x04\xff" + struct.pack(">I", NOON_S),
        b"\xc7\x08\xff" + struct.pack(">Q", NOON_S),
        b"\xc8\x00\x08\xff" + struct.pack(">Q", NOON_S),
        b"\xc9\x00\x00\x00\x04\xff" + struct.pack(">I", NOON_S),
        timestamp(NOON_S),
        timestamp(NOON_S, 499),
        timestamp(NOON_S - 1, 999_999_500),
        b"\xb42026-03-01T12:00:00Z",
        b"\xb92026-03-01T14:00:00+02:00",
    ],
)
def test_an_instant_is_a_timestamp_of_any_form_or_a_text(value: bytes) -> None:
    status = decode(event_at(value), Kind.DEVICE_STATUS)
    assert status.timestamp == builders.NOON  # type: ignore[union-attr]
    assert status.timestamp.tzinfo is UTC  # type: ignore[union-attr]
    check(Kind.DEVICE_STATUS, event_at(value), MSGPACK)


@given(st.integers(0, 999_999_999), st.sampled_from([NOON_S, -1, 0]))
def test_nanoseconds_are_rounded_as_msgspec_rounds_them(nanoseconds: int, seconds: int) -> None:
    payload = event_at(timestamp(seconds, nanoseconds))
    read = msgspec.msgpack.decode(timestamp(seconds, nanoseconds))
    expected = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds, microseconds=(nanoseconds + 500) // 1000)
    assert read == expected
    if expected.year < 1970:
        assert refusal(payload, Kind.DEVICE_STATUS) == (ErrorCode.MESSAGE_INVALID, "/timestamp")
    else:
        assert decode(grown(payload, ("x", b"\x01")), Kind.DEVICE_STATUS) == decode(payload, Kind.DEVICE_STATUS)


@pytest.mark.parametrize("seconds", [2**63 - 1, -(2**63), 253_402_300_800, -62_135_596_801, 7_258_118_400, -1])
def test_a_timestamp_out_of_the_protocols_time_is_invalid_at_its_place(seconds: int) -> None:
    assert refusal(event_at(timestamp(seconds)), Kind.DEVICE_STATUS) == (ErrorCode.MESSAGE_INVALID, "/timestamp")
    assert refusal(event_at(timestamp(5, 10**9)), Kind.DEVICE_STATUS) == (ErrorCode.MESSAGE_MALFORMED, "")


def test_no_bad_body_is_cleared_by_counting() -> None:
    for name, bad in BAD_2.items():
        for payload in (packed(bad.tree), msgspec.msgpack.encode(bad.tree)):
            assert msgpack_encoding.FAST[bad.kind](payload) is None, name


def members(tree: Any) -> Any:
    """A parsed body as the fuzzer has them."""
    if isinstance(tree, dict):
        return Members([(name, members(value)) for name, value in tree.items()])
    if isinstance(tree, list):
        return [members(item) for item in tree]
    return tree if isinstance(tree, str) else Verbatim(str({None: "null", True: "true", False: "false"}.get(tree, tree)))


@given(v2_messages, st.integers(0, 3), randoms)
def test_both_roads_agree_on_any_change_of_a_valid_message(message: Any, changes: int, rng: random.Random) -> None:
    tree = members(msgspec.json.decode(encode(message)))
    for _ in range(changes):
        tree = change(tree, rng)
    check(BY_TYPE[type(message)].kind, pack(tree, rng), MSGPACK)


# what msgspec alone would let pass: if one of these changes, a check can go


def raw(payload: bytes) -> Schedule:
    return msgspec.msgpack.decode(payload, type=Schedule)


def test_msgspec_takes_the_last_of_duplicate_keys_silently() -> None:
    assert raw(grown(PLAN, ("device_id", text("b")))).device_id == "b"


def test_msgspec_passes_over_what_it_does_not_know_without_looking() -> None:
    for value in (b"\xa1\xff", b"\xd4\x05\x00", b"\x81\x01\x02", b"\xcb" + struct.pack(">d", math.nan)):
        assert raw(grown(PLAN, ("x", value))) == raw(PLAN)


def test_msgspec_writes_a_map_of_a_schedules_members_with_sixteen_bits() -> None:
    assert PLAN.startswith(msgpack_encoding._HEADS[1])
