"""decode, problems and encode: total, exact, and each the proof of the other."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allye_protocol.codec import ENCODINGS, MAX_PAYLOAD_BYTES, decode, encode, problems
from allye_protocol.errors import DecodeError, EncodeError, ErrorCode, Problem
from allye_protocol.messages import Ack, AckStatus, ExecutionResult, Interval, Message, Schedule
from allye_protocol.messages.registry import BY_TYPE, Kind
from tests.codec.bodies import BAD, NOT_JSON, OVERSIZE, VALID, Bad, body, slots, text
from tests.strategies import acks, execution_results, hellos, messages, schedules

if TYPE_CHECKING:
    from collections.abc import Callable

kinds = st.sampled_from(Kind)


def kind_of(message: Message) -> Kind:
    return BY_TYPE[type(message)].kind


def refusal(payload: bytes, kind: Kind) -> Problem | None:
    """The problem that decode raises; checks that it is the first one listed."""
    problem: Problem | None = None
    try:
        decode(payload, kind)
    except DecodeError as error:
        problem = error.problem
    assert problems(payload, kind)[:1] == ([] if problem is None else [problem])
    return problem


# what comes back


@given(messages)
def test_decoding_undoes_encoding(message: Message) -> None:
    payload = encode(message)
    assert decode(payload, kind_of(message)) == message
    assert problems(payload, kind_of(message)) == []
    assert len(payload) <= MAX_PAYLOAD_BYTES


@given(messages)
def test_encoding_is_canonical(message: Message) -> None:
    payload = encode(message)
    assert encode(decode(payload, kind_of(message))) == payload
    assert json.loads(payload), "any JSON parser reads it"


@pytest.mark.parametrize("kind", Kind)
def test_a_kind_may_be_named_by_its_word(kind: Kind) -> None:
    assert decode(body(kind), kind.value) == decode(body(kind), kind)


@pytest.mark.parametrize("kind", Kind)
def test_a_body_with_white_space_is_the_same_message(kind: Kind) -> None:
    spaced = json.dumps(VALID[kind], indent=4).encode() + b"\n"
    assert decode(spaced, kind) == decode(json.dumps(VALID[kind], separators=(",", ":")).encode(), kind)


@pytest.mark.parametrize("kind", Kind)
def test_unknown_members_are_ignored(kind: Kind) -> None:
    more = {"x": [{"Z": ",Z"}], **VALID[kind], "y": None}
    assert decode(json.dumps(more).encode(), kind) == decode(body(kind), kind)


def test_an_explicit_null_is_an_absent_optional_member() -> None:
    given_null = body(Kind.SCHEDULE, ("/max_power_kw", None), ("/trace_id", None), ("/intervals/0/mode", None))
    schedule = decode(given_null, Kind.SCHEDULE)
    assert isinstance(schedule, Schedule)
    assert (schedule.max_power_kw, schedule.trace_id, schedule.intervals[0].mode) == (None, None, None)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2018-06-30T20:00:00+02:00", "2018-06-30T18:00:00Z"),
        ("2018-06-30T20:00:00+0200", "2018-06-30T18:00:00Z"),
        ("2018-06-30T12:15:00.5-05:45", "2018-06-30T18:00:00.5Z"),
        ("2018-06-30T18:00:00-00:00", "2018-06-30T18:00:00Z"),
        ("2018-06-30t18:00:00z", "2018-06-30T18:00:00Z"),
        ("1970-01-01T00:30:00+00:30", "1970-01-01T00:00:00Z"),
        ("2199-12-31T23:59:59.999999Z", "2199-12-31T23:59:59.999999Z"),
    ],
)
def test_instants_come_out_in_utc_whatever_offset_they_had(written: str, meant: str) -> None:
    ack = decode(body(Kind.ACK, ("/timestamp", written)), Kind.ACK)
    assert isinstance(ack, Ack)
    assert ack.timestamp == datetime.fromisoformat(meant)
    assert ack.timestamp.tzinfo is UTC


@given(schedules(max_slots=4), st.integers(-1439, 1439))
def test_a_schedule_is_the_same_in_every_offset(schedule: Schedule, minutes: int) -> None:
    zone = timezone(timedelta(minutes=minutes))

    def local(instant: datetime) -> str:
        return instant.astimezone(zone).isoformat()

    tree = json.loads(encode(schedule))
    tree["generated_at"] = local(schedule.generated_at)
    for slot, written in zip(schedule.intervals, tree["intervals"], strict=True):
        written |= {"start": local(slot.start), "end": local(slot.end)}
    decoded = decode(json.dumps(tree).encode(), Kind.SCHEDULE)
    assert decoded == schedule
    assert isinstance(decoded, Schedule)
    assert {slot.start.tzinfo for slot in decoded.intervals} | {decoded.generated_at.tzinfo} == {UTC}


@given(messages, st.integers(-1439, 1439))
def test_encode_writes_utc_whatever_offset_the_message_has(message: Message, minutes: int) -> None:
    zone = timezone(timedelta(minutes=minutes))

    def local(value: Any) -> Any:
        if isinstance(value, datetime):
            return value.astimezone(zone)
        if isinstance(value, msgspec.Struct):
            return msgspec.structs.replace(value, **{name: local(getattr(value, name)) for name in value.__struct_fields__})
        return tuple(map(local, value)) if isinstance(value, tuple) else value

    assert encode(local(message)) == encode(message)


# what is refused, and how


@pytest.mark.parametrize("bad", [pytest.param(bad, id=name) for name, bad in (NOT_JSON | BAD).items()])
def test_a_bad_body_is_refused_with_its_code_at_its_place(bad: Bad) -> None:
    problem = refusal(bad.payload, bad.kind)
    assert problem is not None
    assert (problem.code, problem.path) == (bad.code, bad.path)


@pytest.mark.parametrize("bad", [pytest.param(bad, id=name) for name, bad in NOT_JSON.items()])
@pytest.mark.parametrize("kind", Kind)
def test_what_is_no_json_is_malformed_as_any_kind(bad: Bad, kind: Kind) -> None:
    problem = refusal(bad.payload, kind)
    assert problem is not None
    assert problem.code is ErrorCode.MESSAGE_MALFORMED


@given(st.binary(max_size=300), kinds)
def test_any_bytes_are_a_message_or_one_decode_error(payload: bytes, kind: Kind) -> None:
    refusal(payload, kind)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.datetimes().map(str),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.data(), kinds, json_values)
def test_any_value_in_any_member_is_a_message_or_one_decode_error(data: st.DataObject, kind: Kind, value: Any) -> None:
    name = data.draw(st.sampled_from(sorted(VALID[kind])))
    problem = refusal(body(kind, (f"/{name}", value)), kind)
    assert problem is None or problem.path.startswith((f"/{name}", "/version"))


@pytest.mark.parametrize("kind", Kind)
def test_a_body_that_is_cut_off_anywhere_is_malformed(kind: Kind) -> None:
    payload = body(kind)
    for end in range(len(payload)):
        problem = refusal(payload[:end], kind)
        assert problem is not None
        assert problem.code is ErrorCode.MESSAGE_MALFORMED, end


@pytest.mark.parametrize("kind", Kind)
def test_a_missing_member_is_named_unless_it_is_optional(kind: Kind) -> None:
    optional = {field.name for field in msgspec.structs.fields(type(decode(body(kind), kind))) if not field.required}
    for name in VALID[kind]:
        tree = {key: value for key, value in VALID[kind].items() if key != name}
        problem = refusal(json.dumps(tree).encode(), kind)
        assert (problem is None) if name in optional else (problem is not None and problem.path == f"/{name}")


def test_every_problem_of_a_body_is_listed_in_the_order_of_the_message() -> None:
    intervals = [*slots(2), slots(4)[3]]
    intervals[0]["mode"] = "IDLE"
    payload = body(Kind.SCHEDULE, ("/schedule_id", "a b"), ("/intervals", intervals), ("/max_power_kw", 100))
    assert [(problem.code, problem.path) for problem in problems(payload, Kind.SCHEDULE)] == [
        (ErrorCode.MESSAGE_INVALID, "/schedule_id"),
        (ErrorCode.MESSAGE_INVALID, "/intervals/0/mode"),
        (ErrorCode.LIMIT_POWER, "/intervals/1/rate_kw"),
        (ErrorCode.TIME_GAP, "/intervals/2/start"),
    ]


def test_every_member_of_a_wrong_type_is_listed() -> None:
    payload = body(Kind.ACK, ("/schedule_id", 1), ("/status", "DONE"), ("/timestamp", "2018-06-30T18:00:00"))
    assert [problem.path for problem in problems(payload, Kind.ACK)] == ["/schedule_id", "/status", "/timestamp"]


def test_an_unsupported_version_tells_which_ones_are_supported() -> None:
    with pytest.raises(DecodeError) as caught:
        decode(body(Kind.SCHEDULE, ("/version", 9)), Kind.SCHEDULE)
    assert caught.value.details == {"supported_versions": [1]}


@pytest.mark.parametrize("digits", [400, 401, 4_301, 60_000])
def test_an_integer_without_end_is_not_converted(digits: int) -> None:
    assert refusal(b"9" * digits, Kind.ACK) is not None
    in_unknown_member = text(Kind.ACK).replace("{", '{"x": ' + "9" * digits + ", ", 1).encode()
    assert refusal(in_unknown_member, Kind.ACK) is None


def test_the_list_of_problems_stays_short_whatever_comes() -> None:
    twice = ",".join(f'"k{i}":0,"k{i}":0' for i in range(1_000))
    junk = json.dumps([None] * 4_000)
    for payload in (f"{{{twice}}}", f'{{"intervals":{junk}}}', f'{{"x":{{{twice}}},"intervals":{junk}}}'):
        assert len(payload) <= MAX_PAYLOAD_BYTES
        assert 0 < len(problems(payload.encode(), Kind.SCHEDULE)) < 60


# what is not read at all


def test_a_payload_over_the_limit_is_refused_without_parsing(monkeypatch: pytest.MonkeyPatch) -> None:
    def parsed(*_: object) -> None:
        raise AssertionError("parsed")

    for encoding in ENCODINGS.values():
        monkeypatch.setattr(type(encoding), "decode", parsed)
        monkeypatch.setattr(type(encoding), "problems", parsed)
    for content_type in (None, "application/json"):
        with pytest.raises(DecodeError) as caught:
            decode(OVERSIZE.payload, OVERSIZE.kind, content_type)
        assert caught.value.code is ErrorCode.MESSAGE_TOO_LARGE
        assert caught.value.details == {"size_bytes": 65_537, "limit_bytes": 65_536}
        assert problems(OVERSIZE.payload, OVERSIZE.kind, content_type) == [caught.value.problem]


def test_the_limit_is_the_callers() -> None:
    payload = body(Kind.ACK)
    assert isinstance(decode(payload, Kind.ACK, max_bytes=len(payload)), Ack)
    with pytest.raises(DecodeError) as caught:
        decode(payload, Kind.ACK, max_bytes=len(payload) - 1)
    assert caught.value.code is ErrorCode.MESSAGE_TOO_LARGE


def test_a_payload_of_exactly_the_limit_is_read() -> None:
    payload = body(Kind.ACK)
    assert isinstance(decode(payload.ljust(MAX_PAYLOAD_BYTES), Kind.ACK), Ack)


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON", "application/json; charset=utf-8", None])
def test_content_types_of_json(content_type: str | None) -> None:
    assert decode(body(Kind.ACK), Kind.ACK, content_type) == decode(body(Kind.ACK), Kind.ACK)
    assert problems(body(Kind.ACK), Kind.ACK, content_type) == []


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/protobuf", "json", "x" * 10_000])
def test_a_content_type_that_is_not_known_is_refused(content_type: str) -> None:
    with pytest.raises(DecodeError, match="known: application/json") as caught:
        decode(body(Kind.ACK), Kind.ACK, content_type)
    assert caught.value.code is ErrorCode.MESSAGE_INVALID
    assert len(str(caught.value)) < 300
    assert problems(body(Kind.ACK), Kind.ACK, content_type) == [caught.value.problem]


@pytest.mark.parametrize("kind", ["", "Schedule", "cancel", "schedule "])
def test_a_kind_that_is_not_known_is_refused(kind: str) -> None:
    with pytest.raises(DecodeError, match="known: schedule, ack") as caught:
        decode(b"{}", kind)
    assert caught.value.code is ErrorCode.MESSAGE_UNKNOWN_KIND
    assert problems(b"{}", kind) == [caught.value.problem]


# what is not written

SCHEDULE, ACK, RESULT = (decode(body(kind), kind) for kind in (Kind.SCHEDULE, Kind.ACK, Kind.EXECUTION_RESULT))
NAIVE = datetime(2018, 7, 1)  # noqa: DTZ001 - the point


def first_slot(**changes: Any) -> Schedule:
    assert isinstance(SCHEDULE, Schedule)
    first, *others = SCHEDULE.intervals
    changed = (msgspec.structs.replace(first, **changes), *others)
    return msgspec.structs.replace(SCHEDULE, intervals=changed)


UNWRITABLE: dict[str, tuple[Any, ErrorCode, str]] = {
    "a rate that is NaN": (first_slot(rate_kw=math.nan), ErrorCode.MESSAGE_NON_FINITE_NUMBER, "/intervals/0/rate_kw"),
    "a rate that is infinite": (first_slot(rate_kw=-math.inf), ErrorCode.MESSAGE_NON_FINITE_NUMBER, "/intervals/0/rate_kw"),
    "a limit that is NaN": (
        msgspec.structs.replace(SCHEDULE, max_power_kw=math.nan),
        ErrorCode.MESSAGE_NON_FINITE_NUMBER,
        "/max_power_kw",
    ),
    "an actual rate that is NaN": (
        msgspec.structs.replace(RESULT, actual_rate_kw=math.nan),
        ErrorCode.MESSAGE_NON_FINITE_NUMBER,
        "/actual_rate_kw",
    ),
    "a rate beyond the protocol's": (first_slot(rate_kw=10_001.0), ErrorCode.MESSAGE_INVALID, "/intervals/0/rate_kw"),
    "a rate that is true": (first_slot(rate_kw=True), ErrorCode.MESSAGE_INVALID, "/intervals/0/rate_kw"),
    "a rate as text": (first_slot(rate_kw="75"), ErrorCode.MESSAGE_INVALID, "/intervals/0/rate_kw"),
    "a rate that is an object": (first_slot(rate_kw=object()), ErrorCode.MESSAGE_INVALID, ""),
    "a mode that contradicts": (first_slot(mode="DISCHARGE"), ErrorCode.MESSAGE_INVALID, "/intervals/0/mode"),
    "a naive slot": (first_slot(start=NAIVE), ErrorCode.TIME_NAIVE, "/intervals/0/start"),
    "a naive time": (msgspec.structs.replace(ACK, timestamp=NAIVE), ErrorCode.TIME_NAIVE, "/timestamp"),
    "a naive optional time": (msgspec.structs.replace(ACK, applied_at=NAIVE), ErrorCode.TIME_NAIVE, "/applied_at"),
    "a time before 1970": (
        msgspec.structs.replace(ACK, timestamp=datetime(1969, 12, 31, tzinfo=UTC)),
        ErrorCode.MESSAGE_INVALID,
        "/timestamp",
    ),
    "a slot that is no half-hour": (
        first_slot(start=datetime(2018, 7, 1, 0, 15, tzinfo=UTC)),
        ErrorCode.TIME_NOT_ALIGNED,
        "/intervals/0/start",
    ),
    "a version that is not its own": (msgspec.structs.replace(SCHEDULE, version=2), ErrorCode.VERSION_UNSUPPORTED, "/version"),
    "an id with a newline": (msgspec.structs.replace(ACK, schedule_id="a\n"), ErrorCode.MESSAGE_INVALID, "/schedule_id"),
    "an empty id": (msgspec.structs.replace(RESULT, device_id=""), ErrorCode.MESSAGE_INVALID, "/device_id"),
    "an id that is bytes": (msgspec.structs.replace(ACK, device_id=b"\xff\xff"), ErrorCode.MESSAGE_INVALID, "/device_id"),
    "an id that is None": (msgspec.structs.replace(ACK, device_id=None), ErrorCode.MESSAGE_INVALID, "/device_id"),
    "an id that is a huge number": (msgspec.structs.replace(ACK, device_id=2**70), ErrorCode.MESSAGE_INVALID, "/device_id"),
    "a lone surrogate": (msgspec.structs.replace(ACK, trace_id="\ud800"), ErrorCode.MESSAGE_INVALID, ""),
    "a reason of 257 characters": (
        msgspec.structs.replace(ACK, error_reason="x" * 257),
        ErrorCode.MESSAGE_INVALID,
        "/error_reason",
    ),
    "no slots": (msgspec.structs.replace(SCHEDULE, intervals=()), ErrorCode.TIME_EMPTY, "/intervals"),
    "slots that are no slots": (
        msgspec.structs.replace(SCHEDULE, intervals=(None,)),
        ErrorCode.MESSAGE_INVALID,
        "/intervals/0",
    ),
    "an unknown status": (msgspec.structs.replace(ACK, status="DONE"), ErrorCode.MESSAGE_INVALID, "/status"),
}


@pytest.mark.parametrize(("message", "code", "path"), [pytest.param(*case, id=name) for name, case in UNWRITABLE.items()])
def test_encode_refuses_what_decode_refuses(message: Any, code: ErrorCode, path: str) -> None:
    with pytest.raises(EncodeError) as caught:
        encode(message)
    assert (caught.value.code, caught.value.path) == (code, path)


def test_49_slots_are_not_written() -> None:
    assert isinstance(SCHEDULE, Schedule)
    start, half = SCHEDULE.start, timedelta(minutes=30)
    intervals = tuple(Interval(start=start + half * i, end=start + half * (i + 1), rate_kw=1.0) for i in range(49))
    assert encode(msgspec.structs.replace(SCHEDULE, intervals=intervals[:48]))
    with pytest.raises(EncodeError) as caught:
        encode(msgspec.structs.replace(SCHEDULE, intervals=intervals))
    assert (caught.value.code, caught.value.path) == (ErrorCode.LIMIT_SLOTS, "/intervals")


anything: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.binary(),
    st.datetimes(),
    st.builds(object),
    st.just([1]),
)


@pytest.mark.parametrize(
    "drawn", [schedules(max_slots=2), acks, execution_results, hellos], ids=["schedule", "ack", "result", "hello"]
)
@given(data=st.data())
def test_a_message_with_anything_in_a_field_is_written_readably_or_refused(drawn: Any, data: st.DataObject) -> None:
    message = data.draw(drawn)
    name = data.draw(st.sampled_from(message.__struct_fields__))
    changed = msgspec.structs.replace(message, **{name: data.draw(anything)})
    try:
        payload = encode(changed)
    except EncodeError:
        return
    assert encode(decode(payload, kind_of(message))) == payload


@pytest.mark.parametrize("thing", [None, {}, b"{}", object(), Ack, TimeoutError()], ids=repr)
def test_what_is_no_message_is_not_written(thing: Any) -> None:
    with pytest.raises(EncodeError, match="is not a message") as caught:
        encode(thing)
    assert caught.value.code is ErrorCode.MESSAGE_UNKNOWN_KIND


def test_a_message_is_not_written_in_an_unknown_encoding() -> None:
    with pytest.raises(EncodeError, match="known: application/json") as caught:
        encode(ACK, "text/plain")
    assert caught.value.code is ErrorCode.MESSAGE_INVALID


# what msgspec alone would let pass: if one of these changes, a check can go


def raw_decoder(struct: type) -> Callable[[bytes], Any]:
    return msgspec.json.Decoder(struct).decode


def test_msgspec_takes_the_last_of_duplicate_keys_silently() -> None:
    payload = text(Kind.ACK).replace("{", '{"status": "FAILED", ', 1).encode()
    assert raw_decoder(Ack)(payload).status is AckStatus.APPLIED


def test_msgspec_writes_nan_as_null() -> None:
    assert isinstance(SCHEDULE, Schedule)
    payload = msgspec.json.encode(msgspec.structs.replace(SCHEDULE, max_power_kw=math.nan))
    assert raw_decoder(Schedule)(payload).max_power_kw is None


def test_msgspec_raises_other_exceptions_for_depth_and_bytes() -> None:
    with pytest.raises(RecursionError):
        raw_decoder(Ack)(b'{"x":' + b"[" * 30_000)
    with pytest.raises(UnicodeDecodeError):
        raw_decoder(Ack)(b'{"schedule_id":"\xff"}')


def test_msgspec_keeps_the_offset_of_an_instant() -> None:
    payload = body(Kind.ACK, ("/timestamp", "2018-06-30T20:00:00+02:00"))
    assert raw_decoder(Ack)(payload).timestamp.utcoffset() == timedelta(hours=2)


def test_msgspec_constructs_without_checking() -> None:
    fields: dict[str, Any] = dict.fromkeys(ExecutionResult.__struct_fields__)
    assert ExecutionResult(**fields).device_id is None
