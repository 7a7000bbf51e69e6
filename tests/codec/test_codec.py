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

from allye_protocol import codec
from allye_protocol.codec import (
    ENCODINGS,
    JSON,
    MAX_PAYLOAD_BYTES,
    MSGPACK,
    PROTOBUF,
    content_type_of,
    content_types_of,
    decode,
    encode,
    problems,
)
from allye_protocol.codec.plain import is_in_utc
from allye_protocol.errors import DecodeError, EncodeError, ErrorCode, Problem
from allye_protocol.messages import ErrorDetail, Written, v1
from allye_protocol.messages.registry import BY_TYPE, Kind
from allye_protocol.messages.v1 import Ack, AckStatus, ExecutionResult, Interval
from tests import builders
from tests.codec.bodies import BAD, BAD_2, NOT_JSON, OVERSIZE, VALID, VALID_2, Bad, BadTree, body, packed, slots, text
from tests.strategies import (
    acks,
    cancels,
    device_statuses,
    execution_results,
    hellos,
    schedule_events,
    schedules,
    v1_acks,
    v1_execution_results,
    v1_schedules,
    written,
)

if TYPE_CHECKING:
    from collections.abc import Callable

kinds = st.sampled_from(Kind)


def kind_of(message: Written) -> Kind:
    return BY_TYPE[type(message)].kind


def refusal(payload: bytes, kind: Kind, content_type: str | None = None) -> Problem | None:
    """The problem that decode raises; checks that it is the first one listed."""
    problem: Problem | None = None
    try:
        decode(payload, kind, content_type)
    except DecodeError as error:
        problem = error.problem
    assert problems(payload, kind, content_type)[:1] == ([] if problem is None else [problem])
    return problem


# what comes back


@given(written)
def test_decoding_undoes_encoding_in_every_encoding(message: Written) -> None:
    kind = kind_of(message)
    for content_type in content_types_of(BY_TYPE[type(message)].version):
        payload = encode(message, content_type)
        for named in (content_type, None):
            decoded = decode(payload, kind, named)
            assert decoded == message
            assert type(decoded) is type(message)
            assert problems(payload, kind, named) == []
        assert content_type_of(payload) == content_type
        assert len(payload) <= MAX_PAYLOAD_BYTES


@given(written)
def test_encoding_is_canonical(message: Written) -> None:
    for content_type in content_types_of(BY_TYPE[type(message)].version):
        payload = encode(message, content_type)
        assert encode(decode(payload, kind_of(message)), content_type) == payload
    assert json.loads(encode(message)), "any JSON parser reads it"


LONGEST: list[Any] = [
    builders.schedule(
        "s" * 64,
        device="d" * 64,
        rates_w=[-10_000_000] * 2016,
        resolution_s=300,
        metadata={f"{index:02}" + "\x00" * 62: "\x00" * 256 for index in range(16)},
        traceparent="\x00" * 256,
    ),
    builders.v1_schedule("s" * 64, device="d" * 64, rates_kw=[-9999.999999999999] * 48, trace_id="\x00" * 1024),
    builders.ack(
        status=AckStatus.FAILED,
        error=ErrorDetail(code="a." + "b" * 62, message="\x00" * 512, path="\x00" * 256, digest="0" * 64),
        superseded=("s" * 64,) * 64,
        traceparent="\x00" * 256,
    ),
    msgspec.structs.replace(builders.HELLO, content_types=("\x00" * 128,) * 16, model="\x00" * 128, library="\x00" * 128),
]


@pytest.mark.parametrize("longest", LONGEST, ids=lambda message: type(message).__qualname__)
def test_the_longest_messages_are_within_the_limit_in_every_encoding(longest: Any) -> None:
    for content_type in content_types_of(BY_TYPE[type(longest)].version):
        payload = encode(longest, content_type)
        assert len(payload) <= MAX_PAYLOAD_BYTES
        assert decode(payload, kind_of(longest)) == longest


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
    assert isinstance(schedule, v1.Schedule)
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


@given(v1_schedules(max_slots=4), st.integers(-1439, 1439))
def test_a_schedule_is_the_same_in_every_offset(schedule: v1.Schedule, minutes: int) -> None:
    zone = timezone(timedelta(minutes=minutes))

    def local(instant: datetime) -> str:
        return instant.astimezone(zone).isoformat()

    tree = json.loads(encode(schedule))
    tree["generated_at"] = local(schedule.generated_at)
    for slot, members in zip(schedule.intervals, tree["intervals"], strict=True):
        members |= {"start": local(slot.start), "end": local(slot.end)}
    decoded = decode(json.dumps(tree).encode(), Kind.SCHEDULE)
    assert decoded == schedule
    assert isinstance(decoded, v1.Schedule)
    assert {slot.start.tzinfo for slot in decoded.intervals} | {decoded.generated_at.tzinfo} == {UTC}


@given(written, st.integers(-1439, 1439))
def test_encode_writes_utc_whatever_offset_the_message_has(message: Written, minutes: int) -> None:
    zone = timezone(timedelta(minutes=minutes))

    def local(value: Any) -> Any:
        if isinstance(value, datetime):
            return value.astimezone(zone)
        if isinstance(value, msgspec.Struct):
            return msgspec.structs.replace(value, **{name: local(getattr(value, name)) for name in value.__struct_fields__})
        return tuple(map(local, value)) if isinstance(value, tuple) else value

    for content_type in content_types_of(BY_TYPE[type(message)].version):
        payload = encode(local(message), content_type)
        assert decode(payload, kind_of(message)) == message
        if content_type == JSON:
            assert is_in_utc(msgspec.json.decode(payload, type=type(message)))


# what is refused, and how


@pytest.mark.parametrize("bad", [pytest.param(bad, id=name) for name, bad in (NOT_JSON | BAD).items()])
def test_a_bad_body_is_refused_with_its_code_at_its_place(bad: Bad) -> None:
    problem = refusal(bad.payload, bad.kind, JSON)
    assert problem is not None
    assert (problem.code, problem.path) == (bad.code, bad.path)


@pytest.mark.parametrize("bad", [pytest.param(bad, id=name) for name, bad in BAD_2.items()])
def test_a_bad_body_of_version_2_is_refused_alike_in_json_and_messagepack(bad: BadTree) -> None:
    problem = refusal(json.dumps(bad.tree).encode(), bad.kind, JSON)
    assert problem is not None
    assert (problem.code, problem.path) == (bad.code, bad.path)
    payload = packed(bad.tree)
    other = refusal(payload, bad.kind, MSGPACK)
    assert other is not None
    assert (other.code, other.path) == (bad.code, bad.path)
    assert [each.path for each in problems(payload, bad.kind)] == [
        each.path for each in problems(json.dumps(bad.tree).encode(), bad.kind)
    ]


@pytest.mark.parametrize("kind", VALID_2)
def test_every_kind_of_version_2_is_read_with_all_its_members(kind: Kind) -> None:
    message = decode(json.dumps(VALID_2[kind]).encode(), kind)
    assert BY_TYPE[type(message)].version == 2
    assert set(VALID_2[kind]) == {name for name in message.__struct_fields__ if getattr(message, name) is not None} - {
        "applied_at"
    }
    assert decode(packed(VALID_2[kind]), kind) == message


@pytest.mark.parametrize("bad", [pytest.param(bad, id=name) for name, bad in NOT_JSON.items()])
@pytest.mark.parametrize("kind", Kind)
def test_what_is_no_json_is_malformed_as_any_kind(bad: Bad, kind: Kind) -> None:
    problem = refusal(bad.payload, kind, JSON)
    assert problem is not None
    assert problem.code is ErrorCode.MESSAGE_MALFORMED


@given(st.binary(max_size=300), kinds, st.sampled_from([None, *ENCODINGS]))
def test_any_bytes_are_a_message_or_one_decode_error(payload: bytes, kind: Kind, content_type: str | None) -> None:
    refusal(payload, kind, content_type)


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
        problem = refusal(payload[:end], kind, JSON)
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
    assert caught.value.details == {"supported_versions": [1, 2]}


@pytest.mark.parametrize("digits", [400, 401, 4_301, 60_000])
def test_an_integer_without_end_is_not_converted(digits: int) -> None:
    assert refusal(b"9" * digits, Kind.ACK, JSON) is not None
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


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/msgpack", "json", "x" * 10_000])
def test_a_content_type_that_is_not_known_is_refused(content_type: str) -> None:
    with pytest.raises(DecodeError, match="known: application/json") as caught:
        decode(body(Kind.ACK), Kind.ACK, content_type)
    assert caught.value.code is ErrorCode.MESSAGE_INVALID
    assert len(str(caught.value)) < 300
    assert problems(body(Kind.ACK), Kind.ACK, content_type) == [caught.value.problem]


# which encoding a payload is in


@pytest.mark.parametrize("space", [b"", b" ", b"\n", b"\r\n\t "])
def test_a_brace_begins_json_also_after_white_space(space: bytes) -> None:
    assert content_type_of(space + b"{") == JSON
    assert decode(space + body(Kind.ACK), Kind.ACK) == decode(body(Kind.ACK), Kind.ACK)


@pytest.mark.parametrize("first", [*range(0x80, 0x90), 0xDE, 0xDF])
def test_the_first_byte_of_a_map_begins_messagepack(first: int) -> None:
    assert content_type_of(bytes([first])) == MSGPACK
    problem = refusal(bytes([first]) + b"\xff", Kind.ACK)
    assert problem is not None
    assert "MessagePack" in problem.message or first == 0x80


OTHERS = sorted({*range(256)} - {*range(0x80, 0x90), 0xDE, 0xDF, ord("{")})


@pytest.mark.skipif(PROTOBUF not in ENCODINGS, reason="not installed: protobuf")
def test_any_other_first_byte_begins_protobuf() -> None:
    assert {content_type_of(bytes([first])) for first in OTHERS} == {PROTOBUF}


@pytest.fixture
def _without_protobuf(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(codec.ENCODINGS, PROTOBUF, raising=False)
    for struct in BY_TYPE:
        monkeypatch.delitem(codec._WRITERS, (struct, PROTOBUF), raising=False)


@pytest.mark.usefixtures("_without_protobuf")
def test_without_its_extra_what_would_be_protobuf_is_refused_and_the_extra_named() -> None:
    for first in OTHERS:
        payload = bytes([first, 1, 2])
        with pytest.raises(DecodeError, match=r"pip install 'allye-protocol\[protobuf\]'") as caught:
            decode(payload, Kind.ACK)
        assert caught.value.code is ErrorCode.MESSAGE_MALFORMED
        assert problems(payload, Kind.ACK) == [caught.value.problem]
    with pytest.raises(DecodeError, match=r"allye-protocol\[protobuf\]") as named:
        decode(b"\x08\x02", Kind.ACK, PROTOBUF)
    assert named.value.code is ErrorCode.MESSAGE_INVALID
    with pytest.raises(EncodeError, match=r"allye-protocol\[protobuf\]"):
        encode(builders.ack(), PROTOBUF)
    assert content_types_of(2) == (JSON, MSGPACK)


def test_a_content_type_overrules_the_first_byte() -> None:
    for payload, content_type in ((body(Kind.ACK), MSGPACK), (packed(VALID_2[Kind.ACK]), JSON)):
        problem = refusal(payload, Kind.ACK, content_type)
        assert problem is not None
        assert problem.code is ErrorCode.MESSAGE_MALFORMED


@pytest.mark.parametrize("payload", [b"", b"x" * (MAX_PAYLOAD_BYTES + 1)], ids=["empty", "too large"])
def test_a_payload_that_is_not_read_has_no_content_type(payload: bytes) -> None:
    with pytest.raises(DecodeError):
        content_type_of(payload)


@pytest.mark.parametrize("content_type", [each for each in ENCODINGS if each != JSON])
def test_version_1_and_a_hello_are_json_only(content_type: str) -> None:
    for message in (builders.v1_schedule(), ACK, RESULT):
        with pytest.raises(EncodeError) as caught:
            encode(message, content_type)
        assert caught.value.code is ErrorCode.VERSION_UNSUPPORTED
        assert caught.value.details == {"supported_versions": [2]}
    with pytest.raises(EncodeError, match="always JSON") as refused:
        encode(builders.HELLO, content_type)
    assert refused.value.code is ErrorCode.MESSAGE_UNKNOWN_KIND
    assert content_types_of(1) == content_types_of(0) == (JSON,)


def test_version_1_and_a_hello_in_messagepack_are_refused() -> None:
    problem = refusal(packed(VALID[Kind.SCHEDULE]), Kind.SCHEDULE)
    assert problem is not None
    assert (problem.code, problem.path) == (ErrorCode.VERSION_UNSUPPORTED, "/version")
    assert problem.details == {"supported_versions": [2]}
    problem = refusal(packed(VALID[Kind.HELLO]), Kind.HELLO)
    assert problem is not None
    assert problem.code is ErrorCode.MESSAGE_UNKNOWN_KIND


@pytest.mark.parametrize("kind", ["", "Schedule", "cancels", "schedule "])
def test_a_kind_that_is_not_known_is_refused(kind: str) -> None:
    with pytest.raises(DecodeError, match="known: schedule, cancel, ack") as caught:
        decode(b"{}", kind)
    assert caught.value.code is ErrorCode.MESSAGE_UNKNOWN_KIND
    assert problems(b"{}", kind) == [caught.value.problem]


# what is not written

SCHEDULE, ACK, RESULT = (decode(body(kind), kind) for kind in (Kind.SCHEDULE, Kind.ACK, Kind.EXECUTION_RESULT))
NAIVE = datetime(2018, 7, 1)  # noqa: DTZ001 - the point


def first_slot(**changes: Any) -> v1.Schedule:
    assert isinstance(SCHEDULE, v1.Schedule)
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
    "a rate that is an object": (first_slot(rate_kw=object()), ErrorCode.MESSAGE_INVALID, "/intervals/0/rate_kw"),
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
    "an id that is base64 to some": (msgspec.structs.replace(ACK, device_id=b"\xff"), ErrorCode.MESSAGE_INVALID, "/device_id"),
    "an id with a newline": (msgspec.structs.replace(ACK, schedule_id="a\n"), ErrorCode.MESSAGE_INVALID, "/schedule_id"),
    "an empty id": (msgspec.structs.replace(RESULT, device_id=""), ErrorCode.MESSAGE_INVALID, "/device_id"),
    "an id that is bytes": (msgspec.structs.replace(ACK, device_id=b"\xff\xff"), ErrorCode.MESSAGE_INVALID, "/device_id"),
    "an id that is None": (msgspec.structs.replace(ACK, device_id=None), ErrorCode.MESSAGE_INVALID, "/device_id"),
    "an id that is a huge number": (msgspec.structs.replace(ACK, device_id=2**70), ErrorCode.MESSAGE_INVALID, "/device_id"),
    "a lone surrogate": (msgspec.structs.replace(ACK, trace_id="\ud800"), ErrorCode.MESSAGE_INVALID, "/trace_id"),
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


_FINE = builders.schedule(rates_w=(1, None))
_FAILED = builders.ack(status=AckStatus.FAILED)


def _failed(**changes: Any) -> Any:
    return msgspec.structs.replace(_FAILED, error=msgspec.structs.replace(_FAILED.error, **changes))


UNWRITABLE_2: dict[str, tuple[Any, ErrorCode, str]] = {
    "a limit of charge that is NaN": (
        msgspec.structs.replace(_FINE, soc_min_pct=math.nan),
        ErrorCode.MESSAGE_NON_FINITE_NUMBER,
        "/soc_min_pct",
    ),
    "a figure of an error that is NaN": (_failed(value=math.nan), ErrorCode.MESSAGE_NON_FINITE_NUMBER, "/error/value"),
    "a figure of an error that is infinite": (_failed(limit=-math.inf), ErrorCode.MESSAGE_NON_FINITE_NUMBER, "/error/limit"),
    "an energy that is NaN": (
        builders.result(energy_charged_wh=math.nan),
        ErrorCode.MESSAGE_NON_FINITE_NUMBER,
        "/energy_charged_wh",
    ),
    "a percentage that is infinite": (builders.status(soc_pct=math.inf), ErrorCode.MESSAGE_NON_FINITE_NUMBER, "/soc_pct"),
    "a setpoint that is NaN": (
        msgspec.structs.replace(_FINE, rates_w=(math.nan,)),
        ErrorCode.MESSAGE_NON_FINITE_NUMBER,
        "/rates_w/0",
    ),
    "a setpoint that is true": (msgspec.structs.replace(_FINE, rates_w=(1, True)), ErrorCode.MESSAGE_INVALID, "/rates_w/1"),
    "a setpoint with a fraction": (msgspec.structs.replace(_FINE, rates_w=(1.5,)), ErrorCode.MESSAGE_INVALID, "/rates_w/0"),
    "a setpoint too large": (msgspec.structs.replace(_FINE, rates_w=(10**7 + 1,)), ErrorCode.MESSAGE_INVALID, "/rates_w/0"),
    "a setpoint beyond 64 bits": (msgspec.structs.replace(_FINE, rates_w=(2**70,)), ErrorCode.MESSAGE_INVALID, "/rates_w/0"),
    "no slots": (msgspec.structs.replace(_FINE, rates_w=()), ErrorCode.TIME_EMPTY, "/rates_w"),
    "a naive start": (msgspec.structs.replace(_FINE, start=NAIVE), ErrorCode.TIME_NAIVE, "/start"),
    "a naive optional time": (msgspec.structs.replace(_FINE, expires_at=NAIVE), ErrorCode.TIME_NAIVE, "/expires_at"),
    "a start off the grid": (
        msgspec.structs.replace(_FINE, start=builders.NOON + timedelta(minutes=5)),
        ErrorCode.TIME_NOT_ALIGNED,
        "/start",
    ),
    "a version that is not its own": (msgspec.structs.replace(_FAILED, version=1), ErrorCode.VERSION_UNSUPPORTED, "/version"),
    "an id with a slash": (msgspec.structs.replace(_FINE, device_id="a/b"), ErrorCode.MESSAGE_INVALID, "/device_id"),
    "an id that is a number": (msgspec.structs.replace(_FINE, schedule_id=5), ErrorCode.MESSAGE_INVALID, "/schedule_id"),
    "an id that is bytes": (msgspec.structs.replace(_FINE, device_id=b"abc"), ErrorCode.MESSAGE_INVALID, "/device_id"),
    "a label whose name is a number": (
        msgspec.structs.replace(_FINE, metadata={1: "a"}),
        ErrorCode.MESSAGE_INVALID,
        "/metadata",
    ),
    "an id that is None": (builders.event(device_id=None), ErrorCode.MESSAGE_INVALID, "/device_id"),
    "half a surrogate pair": (msgspec.structs.replace(_FINE, traceparent="\ud800"), ErrorCode.MESSAGE_INVALID, "/traceparent"),
    "half a surrogate pair in a label": (
        msgspec.structs.replace(_FINE, metadata={"a": "\udfff"}),
        ErrorCode.MESSAGE_INVALID,
        "/metadata/a",
    ),
    "an unknown status": (msgspec.structs.replace(_FAILED, status="DONE"), ErrorCode.MESSAGE_INVALID, "/status"),
    "APPLIED with an error": (
        msgspec.structs.replace(_FAILED, status=AckStatus.APPLIED, applied_at=builders.NOON),
        ErrorCode.MESSAGE_INVALID,
        "/error",
    ),
    "an error that is a text": (msgspec.structs.replace(_FAILED, error="no"), ErrorCode.MESSAGE_INVALID, "/error"),
    "a code that is none": (_failed(code="none"), ErrorCode.MESSAGE_INVALID, "/error/code"),
    "a cancel of nothing": (builders.cancel(None), ErrorCode.MESSAGE_INVALID, "/effective_from"),
}


@pytest.mark.parametrize("content_type", ENCODINGS)
@pytest.mark.parametrize(("message", "code", "path"), [pytest.param(*case, id=name) for name, case in UNWRITABLE_2.items()])
def test_every_encoding_refuses_to_write_what_none_would_read(
    message: Any, code: ErrorCode, path: str, content_type: str
) -> None:
    with pytest.raises(EncodeError) as caught:
        encode(message, content_type)
    assert (caught.value.code, caught.value.path) == (code, path)


@pytest.mark.parametrize("content_type", [JSON, MSGPACK])
def test_a_text_of_a_type_that_cannot_be_written_is_refused(content_type: str) -> None:
    text_type = type("Text", (str,), {})
    with pytest.raises(EncodeError, match="cannot be written as") as caught:
        encode(msgspec.structs.replace(_FINE, device_id=text_type("a")), content_type)
    assert caught.value.code is ErrorCode.MESSAGE_INVALID


def test_49_slots_are_not_written() -> None:
    assert isinstance(SCHEDULE, v1.Schedule)
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
    "drawn",
    [
        schedules(max_slots=2),
        cancels,
        acks,
        execution_results,
        schedule_events,
        device_statuses,
        hellos,
        v1_schedules(max_slots=2),
        v1_acks,
        v1_execution_results,
    ],
    ids=["schedule", "cancel", "ack", "result", "event", "status", "hello", "v1 schedule", "v1 ack", "v1 result"],
)
@given(data=st.data())
def test_a_message_with_anything_in_a_field_is_written_readably_or_refused(drawn: Any, data: st.DataObject) -> None:
    message = data.draw(drawn)
    name = data.draw(st.sampled_from(message.__struct_fields__))
    changed = msgspec.structs.replace(message, **{name: data.draw(anything)})
    for content_type in content_types_of(BY_TYPE[type(message)].version):
        try:
            payload = encode(changed, content_type)
        except EncodeError:
            continue
        decoded = decode(payload, kind_of(message))
        assert decode(encode(decoded, content_type), kind_of(message)) == decoded


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
    assert isinstance(SCHEDULE, v1.Schedule)
    payload = msgspec.json.encode(msgspec.structs.replace(SCHEDULE, max_power_kw=math.nan))
    assert raw_decoder(v1.Schedule)(payload).max_power_kw is None


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
