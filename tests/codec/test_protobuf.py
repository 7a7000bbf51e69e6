"""Protobuf: what is written comes back, what is bad is refused with its code and place, and both roads agree."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allye_protocol.codec import ENCODINGS, PROTOBUF, content_types_of, decode, encode, problems
from allye_protocol.codec.protobuf import ProtobufEncoding, coder, is_installed
from allye_protocol.codec.protobuf.members import body_of
from allye_protocol.codec.protobuf.runtime import runtime
from allye_protocol.errors import DecodeError, EncodeError, ErrorCode
from allye_protocol.messages import Cancel, Schedule, v1
from allye_protocol.messages.registry import BY_TYPE, KINDS, Kind
from tests.codec.protobuf_bodies import BAD, MALFORMED, MEANT, PARTS, VARIANTS, Bad, Variant, body, entry, number, text
from tests.strategies import hellos, v1_schedules, v2_messages

if TYPE_CHECKING:
    from collections.abc import Callable

    from allye_protocol.messages import Message, Written

KINDS_IN_PROTOBUF = list(PARTS)
MINIMAL = {
    Kind.SCHEDULE: {"version", "schedule_id", "device_id", "sequence", "generated_at", "start", "rates_w"},
    Kind.CANCEL: {"version", "device_id", "sequence", "effective_from"},
    Kind.ACK: {"version", "schedule_id", "device_id", "status", "timestamp", "error"},
    Kind.EXECUTION_RESULT: {
        "version", "schedule_id", "device_id", "status", "timestamp", "slot_start", "slot_end", "actual_w",
    },
    Kind.SCHEDULE_EVENT: {"version", "device_id", "sequence", "event", "timestamp"},
    Kind.DEVICE_STATUS: {"version", "device_id", "online", "timestamp"},
}  # fmt: skip
"""The members without which the bodies of this module are not valid."""


def kind_of(message: Written) -> Kind:
    return BY_TYPE[type(message)].kind


def refusal(payload: bytes, kind: Kind) -> tuple[ErrorCode, str] | None:
    """Code and place of what decode raises; checks that it is the first problem listed."""
    listed = problems(payload, kind, PROTOBUF)
    if not listed:
        decode(payload, kind, PROTOBUF)
        return None
    with pytest.raises(DecodeError) as caught:
        decode(payload, kind, PROTOBUF)
    assert listed[0] == caught.value.problem
    return caught.value.code, caught.value.path


# what comes back


@given(v2_messages)
def test_decoding_undoes_encoding(message: Message) -> None:
    payload = encode(message, PROTOBUF)
    assert decode(payload, kind_of(message), PROTOBUF) == message
    assert problems(payload, kind_of(message), PROTOBUF) == []


@given(v2_messages)
def test_json_and_protobuf_say_the_same(message: Message) -> None:
    kind = kind_of(message)
    assert decode(encode(message), kind) == decode(encode(message, PROTOBUF), kind, PROTOBUF)


@pytest.mark.parametrize("kind", KINDS_IN_PROTOBUF)
def test_bytes_made_by_hand_are_read_and_written(kind: Kind) -> None:
    assert decode(body(kind), kind, PROTOBUF) == MEANT[kind]
    assert encode(MEANT[kind], PROTOBUF) == body(kind)


def test_labels_are_read_in_the_order_in_which_they_are_written() -> None:
    names = [f"{char}{index}" for char in "aäЖ\uffff😀" for index in range(3)]
    read = decode(body(Kind.SCHEDULE, metadata=b"".join(entry(name, "x") for name in names)), Kind.SCHEDULE, PROTOBUF)
    assert isinstance(read, Schedule)
    assert list(read.metadata) == names


@pytest.mark.parametrize("kind", KINDS_IN_PROTOBUF)
def test_every_member_that_may_be_absent_is_absent_when_it_is_not_written(kind: Kind) -> None:
    payload = body(kind, **{member: b"" for member in PARTS[kind] if member not in MINIMAL[kind]})
    message = decode(payload, kind, PROTOBUF)
    written = set(msgspec.to_builtins(message))
    assert written == MINIMAL[kind]
    assert encode(message, PROTOBUF) == payload


def test_an_instant_is_written_in_utc() -> None:
    here = datetime(2018, 7, 1, 5, 30, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    schedule = msgspec.structs.replace(MEANT[Kind.SCHEDULE], start=here)
    assert encode(schedule, PROTOBUF) == body(Kind.SCHEDULE)
    read = decode(body(Kind.SCHEDULE), Kind.SCHEDULE, PROTOBUF)
    assert isinstance(read, Schedule)
    assert read.start.tzinfo is UTC


# bodies as others write them


@pytest.mark.parametrize("variant", [pytest.param(variant, id=name) for name, variant in VARIANTS.items()])
def test_a_body_written_in_another_way_means_the_same(variant: Variant) -> None:
    assert variant.payload != body(variant.kind)
    assert refusal(variant.payload, variant.kind) is None
    assert decode(variant.payload, variant.kind, PROTOBUF) == MEANT[variant.kind]


@given(st.permutations(list(PARTS[Kind.SCHEDULE].values())))
def test_fields_come_in_any_order(parts: list[bytes]) -> None:
    assert decode(b"".join(parts), Kind.SCHEDULE, PROTOBUF) == MEANT[Kind.SCHEDULE]


# what is refused


@pytest.mark.parametrize("bad", [pytest.param(bad, id=name) for name, bad in (MALFORMED | BAD).items()])
def test_a_bad_body_is_refused_with_its_code_and_place(bad: Bad) -> None:
    assert refusal(bad.payload, bad.kind) == (bad.code, bad.path)


@pytest.mark.parametrize("bad", [pytest.param(bad, id=name) for name, bad in MALFORMED.items()])
def test_what_is_malformed_says_so_once(bad: Bad) -> None:
    assert len(problems(bad.payload, bad.kind, PROTOBUF)) == 1


@pytest.mark.parametrize(("kind", "member"), [(kind, member) for kind in MINIMAL for member in sorted(MINIMAL[kind])])
def test_a_member_that_is_required_and_missing_is_named(kind: Kind, member: str) -> None:
    bare = {name: b"" for name in PARTS[kind] if name not in MINIMAL[kind] or name == member}
    expected = ErrorCode.TIME_EMPTY if member == "rates_w" else ErrorCode.MESSAGE_INVALID
    assert refusal(body(kind, **bare), kind) == (expected, f"/{member}")


def test_a_code_that_is_required_and_missing_is_named() -> None:
    assert refusal(body(Kind.ACK, error=text(11, b"")), Kind.ACK) == (ErrorCode.MESSAGE_INVALID, "/error/code")
    assert refusal(body(Kind.ACK, clock=text(18, b"")), Kind.ACK) == (ErrorCode.MESSAGE_INVALID, "/clock/synced")


def test_every_problem_is_listed() -> None:
    payload = body(
        Kind.SCHEDULE,
        device_id=b"",
        sequence=number(5, 0),
        resolution_s=number(10, 1),
        more=text(2, "again"),
        no_setpoint_slots=number(9, 0),
    )
    listed = [(problem.code, problem.path) for problem in problems(payload, Kind.SCHEDULE, PROTOBUF)]
    assert sorted(listed) == [
        (ErrorCode.MESSAGE_DUPLICATE_KEY, "/schedule_id"),
        (ErrorCode.MESSAGE_INVALID, "/device_id"),
        (ErrorCode.MESSAGE_INVALID, "/rates_w/0"),
        (ErrorCode.MESSAGE_INVALID, "/resolution_s"),
        (ErrorCode.MESSAGE_INVALID, "/sequence"),
    ]


def test_the_list_of_problems_is_bounded() -> None:
    payload = body(Kind.SCHEDULE, metadata=text(19, text(1, "a") * 2) * 5000, rates_w=text(8, b"\x02" * 2016))
    everywhere = text(9, bytes(index for index in range(128)))
    assert len(problems(payload + everywhere, Kind.SCHEDULE, PROTOBUF)) < 100


def test_an_unknown_version_says_which_are_known() -> None:
    with pytest.raises(DecodeError) as caught:
        decode(body(Kind.CANCEL, version=number(1, 9)), Kind.CANCEL, PROTOBUF)
    assert caught.value.details["supported_versions"] == [2]


def test_a_hello_is_always_json() -> None:
    assert refusal(body(Kind.CANCEL), Kind.HELLO) == (ErrorCode.MESSAGE_UNKNOWN_KIND, "")


@given(hellos)
def test_a_hello_is_not_written(hello: Message) -> None:
    with pytest.raises(EncodeError) as caught:
        encode(hello, PROTOBUF)
    assert caught.value.code is ErrorCode.MESSAGE_UNKNOWN_KIND


@given(v1_schedules(max_slots=2))
def test_version_1_is_not_written(schedule: v1.Schedule) -> None:
    with pytest.raises(EncodeError) as caught:
        encode(schedule, PROTOBUF)
    assert (caught.value.code, caught.value.details["supported_versions"]) == (ErrorCode.VERSION_UNSUPPORTED, [2])


UNWRITABLE: dict[str, tuple[Kind, dict[str, Any], ErrorCode, str]] = {
    "another version": (Kind.CANCEL, {"version": 3}, ErrorCode.VERSION_UNSUPPORTED, "/version"),
    "a version that is true": (Kind.CANCEL, {"version": True}, ErrorCode.MESSAGE_INVALID, "/version"),
    "a naive time": (Kind.ACK, {"timestamp": datetime(2018, 7, 1)}, ErrorCode.TIME_NAIVE, "/timestamp"),  # noqa: DTZ001
    "a time as text": (Kind.ACK, {"timestamp": "now"}, ErrorCode.MESSAGE_INVALID, "/timestamp"),
    "a time after 2200": (Kind.ACK, {"timestamp": datetime(2200, 1, 1, tzinfo=UTC)}, ErrorCode.MESSAGE_INVALID, "/timestamp"),
    "a rate too large": (Kind.SCHEDULE, {"rates_w": (0, 10_000_001)}, ErrorCode.MESSAGE_INVALID, "/rates_w/1"),
    "a rate of 40 bits": (Kind.SCHEDULE, {"rates_w": (0, 2**40)}, ErrorCode.MESSAGE_INVALID, "/rates_w/1"),
    "a rate that is true": (Kind.SCHEDULE, {"rates_w": (True,)}, ErrorCode.MESSAGE_INVALID, "/rates_w/0"),
    "a rate that is a float": (Kind.SCHEDULE, {"rates_w": (0.5,)}, ErrorCode.MESSAGE_INVALID, "/rates_w/0"),
    "no rates": (Kind.SCHEDULE, {"rates_w": ()}, ErrorCode.TIME_EMPTY, "/rates_w"),
    "a flag that is a number": (Kind.SCHEDULE, {"dry_run": 1}, ErrorCode.MESSAGE_INVALID, "/dry_run"),
    "a start off the grid": (
        Kind.SCHEDULE,
        {"start": datetime(2018, 7, 1, 0, 0, 30, tzinfo=UTC)},
        ErrorCode.TIME_NOT_ALIGNED,
        "/start",
    ),
    "a start off the grid of UTC": (
        Kind.SCHEDULE,
        {"start": datetime(2018, 7, 1, tzinfo=timezone(timedelta(minutes=5))), "soc_min_pct": None, "soc_max_pct": None},
        ErrorCode.TIME_NOT_ALIGNED,
        "/start",
    ),
    "NaN": (Kind.SCHEDULE, {"soc_min_pct": float("nan")}, ErrorCode.MESSAGE_NON_FINITE_NUMBER, "/soc_min_pct"),
    "half of a surrogate pair": (Kind.CANCEL, {"reason": "\ud800"}, ErrorCode.MESSAGE_INVALID, "/reason"),
    "half of one in a label": (Kind.SCHEDULE, {"metadata": {"a": "\udfff"}}, ErrorCode.MESSAGE_INVALID, "/metadata/a"),
    "an id that is none": (Kind.CANCEL, {"device_id": "a/b"}, ErrorCode.MESSAGE_INVALID, "/device_id"),
    "an id that is missing": (Kind.CANCEL, {"device_id": None}, ErrorCode.MESSAGE_INVALID, "/device_id"),
    "FAILED without an error": (Kind.ACK, {"error": None}, ErrorCode.MESSAGE_INVALID, "/error"),
    "a status of another kind": (Kind.ACK, {"status": "SUCCEED"}, ErrorCode.MESSAGE_INVALID, "/status"),
}


@pytest.mark.parametrize(
    ("kind", "changes", "code", "path"), [pytest.param(*case, id=name) for name, case in UNWRITABLE.items()]
)
def test_what_no_peer_would_read_is_not_written(kind: Kind, changes: dict[str, Any], code: ErrorCode, path: str) -> None:
    message = msgspec.structs.replace(MEANT[kind], **changes)
    with pytest.raises(EncodeError) as caught:
        encode(message, PROTOBUF)
    assert (caught.value.code, caught.value.path) == (code, path)


NESTED: dict[str, tuple[dict[str, Any], ErrorCode, str]] = {
    "a value that is infinite": ({"value": float("inf")}, ErrorCode.MESSAGE_NON_FINITE_NUMBER, "/error/value"),
    "a limit that is NaN": ({"limit": float("nan")}, ErrorCode.MESSAGE_NON_FINITE_NUMBER, "/error/limit"),
    "a slot below 0": ({"slot": -1}, ErrorCode.MESSAGE_INVALID, "/error/slot"),
    "a message that is too long": ({"message": "a" * 513}, ErrorCode.MESSAGE_INVALID, "/error/message"),
    "a code that is none": ({"code": "limit"}, ErrorCode.MESSAGE_INVALID, "/error/code"),
}


@pytest.mark.parametrize(("changes", "code", "path"), [pytest.param(*case, id=name) for name, case in NESTED.items()])
def test_nor_is_an_error_that_nobody_would_read(changes: dict[str, Any], code: ErrorCode, path: str) -> None:
    ack = MEANT[Kind.ACK]
    broken = msgspec.structs.replace(ack, error=msgspec.structs.replace(ack.error, **changes))  # type: ignore[union-attr]
    with pytest.raises(EncodeError) as caught:
        encode(broken, PROTOBUF)
    assert (caught.value.code, caught.value.path) == (code, path)


# the same as JSON: one change of a valid message, translated


def _pointer(path: str, tree: dict[str, Any]) -> tuple[Any, Any]:
    *way, last = path.split("/")[1:]
    node: Any = tree
    for step in way:
        node = node[int(step) if isinstance(node, list) else step]
    return node, int(last) if isinstance(node, list) else last


def _places(tree: Any, path: str = "") -> list[str]:
    """Every place in a tree but the inside of labels."""
    if isinstance(tree, dict) and not path.endswith("/metadata"):
        return [place for name, item in tree.items() for place in (f"{path}/{name}", *_places(item, f"{path}/{name}"))]
    if isinstance(tree, list):
        return [place for index, item in enumerate(tree) for place in (f"{path}/{index}", *_places(item, f"{path}/{index}"))]
    return []


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
INSTANTS = ["1969-12-31T23:59:59.999999Z", "2018-07-01T00:00:30Z", "2199-12-31T23:55:00Z", "2200-01-01T00:00:00Z"]
_strange_texts = st.sampled_from(["", "a" * 65, "a/b", "x.y", "0" * 64, "A" * 64, "a" * 1000])
_strange_integers = st.sampled_from([0, 1, 3, 300, 2016, 65_536, 100_001, 10_000_001, 2**31 - 1])
_strange_floats = st.sampled_from([-0.0, -1.0, 100.1, 33.3333, 1e13, 5e-324])


def _strange(value: Any, path: str) -> st.SearchStrategy[Any]:
    """Other values of the same type, many of which break a rule."""
    if isinstance(value, bool):
        return st.just(not value)
    if isinstance(value, int):
        return _strange_integers
    if isinstance(value, float):
        return _strange_floats
    if isinstance(value, list):
        return st.sampled_from([[], value * 70])
    if isinstance(value, dict):
        return st.just({f"k{index}": "v" for index in range(17)} if path == "/metadata" else value)
    if value is None:
        return st.just(0)
    return st.sampled_from(INSTANTS) if value[:4].isdigit() and value.endswith("Z") and "T" in value else _strange_texts


def _translated(tree: dict[str, Any], struct: type) -> dict[str, Any]:
    """A JSON body as the keyword arguments of the runtime's class: by the names of the published file alone."""
    made: dict[str, Any] = {}
    fields = {field.name: field for field in runtime().classes[struct].DESCRIPTOR.fields}
    for name, value in tree.items():
        if f"{name}_us" in fields:
            made[f"{name}_us"] = (datetime.fromisoformat(value) - EPOCH) // timedelta(microseconds=1)
        elif name == "rates_w":
            made[name] = [rate or 0 for rate in value]
            made["no_setpoint_slots"] = [slot for slot, rate in enumerate(value) if rate is None]
        elif fields[name].enum_type is not None:
            words = {word.name: word.number for word in fields[name].enum_type.values}
            made[name] = next((known for word, known in words.items() if word.endswith(f"_{value}") and value), 99)
        elif isinstance(value, dict) and name != "metadata":
            nested = next(known for known in runtime().classes if known.__name__ == fields[name].message_type.name)
            made[name] = _translated(value, nested)
        else:
            made[name] = value
    return made


@given(st.data())
def test_json_and_protobuf_refuse_the_same_for_the_same_reason(data: st.DataObject) -> None:
    message = data.draw(v2_messages)
    kind, struct = kind_of(message), type(message)
    tree = json.loads(encode(message))
    # What Protobuf cannot say is left out: a list of rates that is absent, and a version that decides how the rest is read.
    place = data.draw(st.sampled_from([place for place in _places(tree) if place not in ("/version", "/metadata")]))
    node, last = _pointer(place, tree)
    if data.draw(st.booleans()) and isinstance(node, dict) and last != "rates_w":
        del node[last]
    else:
        node[last] = data.draw(_strange(node[last], place))
    as_json = problems(json.dumps(tree).encode(), kind)
    as_protobuf = problems(
        runtime().classes[struct](**_translated(tree, struct)).SerializeToString(deterministic=True), kind, PROTOBUF
    )
    assert [(problem.code, problem.path) for problem in as_protobuf] == [(problem.code, problem.path) for problem in as_json]


# the two roads


class SlowRoadError(Exception):
    """Raised in place of the slow road."""


@given(v2_messages)
def test_what_this_library_writes_takes_the_fast_road(message: Message) -> None:
    def refuse(*_: object) -> None:
        raise SlowRoadError

    payload = encode(message, PROTOBUF)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coder, "explained", refuse)
        assert decode(payload, kind_of(message), PROTOBUF) == message


@pytest.mark.parametrize("bad", [pytest.param(bad, id=name) for name, bad in BAD.items()])
def test_the_fast_road_clears_nothing_that_is_bad(bad: Bad) -> None:
    assert coder._cleared(bad.payload, KINDS[bad.kind, 2].struct) is None


@st.composite
def damaged(draw: st.DrawFn) -> tuple[bytes, Kind]:
    """A valid body with a few bytes changed, put in, taken away or moved."""
    kind = draw(st.sampled_from(KINDS_IN_PROTOBUF))
    parts = list(PARTS[kind].values())
    if draw(st.booleans()):
        parts = draw(st.permutations(parts))
    if draw(st.booleans()):
        parts.append(draw(st.sampled_from(parts)))
    payload = bytearray(b"".join(parts))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(payload) - 1))
        damage: Callable[[], object] = draw(
            st.sampled_from(
                [
                    lambda at=at: payload.__setitem__(at, payload[at] ^ (1 << at % 8)),
                    lambda at=at: payload.insert(at, at % 256),
                    lambda at=at: payload.pop(at) if len(payload) > 1 else None,
                ]
            )
        )
        damage()
    return bytes(payload), kind


@given(st.one_of(damaged(), st.tuples(st.binary(min_size=1, max_size=200), st.sampled_from(Kind))))
def test_any_bytes_give_a_message_or_one_typed_error(case: tuple[bytes, Kind]) -> None:
    payload, kind = case
    if refusal(payload, kind) is not None:
        return
    message = decode(payload, kind, PROTOBUF)
    assert decode(encode(message, PROTOBUF), kind, PROTOBUF) == message
    assert coder.explained(payload, kind).message == message, "the fast road says what the slow one says"
    parsed = runtime().classes[type(message)].FromString(payload)
    assert msgspec.convert(body_of(parsed, type(message)), type(message)) == message, "and both what the runtime reads"


# the package


def test_it_is_an_encoding_of_version_2_alone() -> None:
    assert ProtobufEncoding().content_type == PROTOBUF == "application/protobuf"
    assert PROTOBUF in ENCODINGS
    assert PROTOBUF in content_types_of(2)
    assert PROTOBUF not in content_types_of(1)
    assert PROTOBUF not in content_types_of(0)


def loaded_by(statement: str) -> set[str]:
    script = f"import sys; sys.path[:] = {sys.path!r}\n{statement}\nprint(*sorted(sys.modules))"
    command = [sys.executable, "-I", "-S", "-c", script]
    return set(subprocess.run(command, capture_output=True, check=True, text=True, timeout=30).stdout.split())


def test_the_runtime_is_loaded_with_the_first_message() -> None:
    read_json = f"from allye_protocol.codec import decode\ndecode({encode(MEANT[Kind.CANCEL])!r}, 'cancel')"
    before = loaded_by(read_json)
    assert not {"google.protobuf", "allye_protocol.codec.protobuf.coder"} & before
    assert "google.protobuf" in loaded_by(f"{read_json}\ndecode({body(Kind.CANCEL)!r}, 'cancel', {PROTOBUF!r})")


@pytest.mark.parametrize("missing", ["google", "google.protobuf"])
def test_without_the_extra_there_is_no_such_encoding(missing: str) -> None:
    script = f"""
import sys
sys.path[:] = {sys.path!r}
sys.modules[{missing!r}] = None
from allye_protocol.codec import ENCODINGS
assert {PROTOBUF!r} not in ENCODINGS, list(ENCODINGS)
"""
    subprocess.run([sys.executable, "-I", "-S", "-c", script], check=True, timeout=30)
    assert is_installed()


def test_a_cancel_that_is_decoded_is_of_the_newest_model() -> None:
    assert isinstance(decode(body(Kind.CANCEL), Kind.CANCEL, PROTOBUF), Cancel)
