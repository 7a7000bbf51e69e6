"""JSON: the fast road never differs from the slow one, and valid bodies as they usually come do take it."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allye_protocol.codec import decode, encode, problems
from allye_protocol.codec import json as json_encoding
from allye_protocol.errors import DecodeError, ErrorCode
from allye_protocol.messages import v1
from allye_protocol.messages.registry import BY_TYPE, Kind
from tests.codec.bodies import BAD, NOT_JSON, VALID, VALID_1, VALID_2, body, text
from tests.fuzz.fuzz_decode import check
from tests.fuzz.json_bodies import spell
from tests.fuzz.trees import TREES, Members, change
from tests.strategies import written

if TYPE_CHECKING:
    from allye_protocol.messages import Written

randoms = st.randoms(use_true_random=False)


class SlowRoadError(Exception):
    """Raised in place of the slow road."""


@pytest.fixture
def _fast_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise SlowRoadError

    monkeypatch.setattr(json_encoding, "_explained", refuse)


@pytest.mark.usefixtures("_fast_only")
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (" , ", "\n:\n")])
@pytest.mark.parametrize(
    ("kind", "tree"),
    [
        *((kind, tree) for kind, tree in VALID_2.items()),
        *((kind, {**tree, "trace_id": "Z, or not: Ω"}) for kind, tree in VALID_1.items()),
        (Kind.HELLO, VALID[Kind.HELLO]),
    ],
)
def test_a_body_as_most_writers_write_it_takes_the_fast_road(
    kind: Kind, tree: dict[str, Any], separators: tuple[str, str]
) -> None:
    backwards = dict(reversed(tree.items()))
    for each in (tree, backwards):
        message = decode(json.dumps(each, separators=separators, ensure_ascii=False).encode(), kind)
        assert BY_TYPE[type(message)].kind is kind


DEFAULTS: dict[str, Any] = {
    "resolution_s": 1800,
    "expires_at": None,
    "soc_min_pct": None,
    "ramp_w_per_s": None,
    "start_jitter_s": 0,
    "dry_run": False,
    "metadata": {},
}


@pytest.mark.usefixtures("_fast_only")
@given(st.sets(st.sampled_from(sorted(DEFAULTS))), st.randoms(use_true_random=False))
def test_members_that_are_written_at_their_default_take_the_fast_road(names: set[str], rng: random.Random) -> None:
    tree = {name: value for name, value in VALID_2[Kind.SCHEDULE].items() if name not in DEFAULTS}
    members = [*{**tree, **{name: DEFAULTS[name] for name in names}, "start": "2018-07-01T00:00:00.000Z"}.items()]
    rng.shuffle(members)
    schedule = decode(json.dumps(dict(members)).encode(), Kind.SCHEDULE)
    assert {name: getattr(schedule, name) for name in DEFAULTS if name != "soc_max_pct"} == DEFAULTS


def test_a_schedule_that_is_written_to_fool_the_counts_of_defaults_gets_the_slow_roads_answer() -> None:
    tree = {name: value for name, value in VALID_2[Kind.SCHEDULE].items() if name not in ("resolution_s", "metadata")}
    text_of = json.dumps({**tree, "start": "2018-07-01T00:00:00Z"})
    for added in (
        '"resolution_s": 900, "resolution_s": 1800',
        '"resolution_s": 1800, "resolution_s": 1800',
        '"x": {"resolution_s": 1}, "resolution_s": 1800',
        '"metadata": {"a": "b", "a": "b"}',
        '"metadata": {"a": "1,2", "a": "b"}',
        '"metadata": {"a,b": "c", "d": "e", "d": "e"}',
        '"metadata": {"x": "y"}, "metadata": {}',
        '"dry_run": true, "dry_run": false',
        '"soc_max_pct": null, "soc_max_pct": 80',
    ):
        payload = f"{text_of[:-1]}, {added}}}".encode()
        assert check(Kind.SCHEDULE, payload) == ("message.duplicate_key" if '"x": {' not in added else "valid")


@pytest.mark.usefixtures("_fast_only")
@given(written)
def test_what_this_library_writes_takes_the_fast_road(message: Written) -> None:
    payload = encode(message)
    if isinstance(message, v1.Schedule) and b"\\" in payload:
        return  # the slots of version 1 are cleared by counting, which escapes forbid
    assert decode(payload, BY_TYPE[type(message)].kind) == message


# Each of these would be taken for a valid body by one of the counts alone.
FOOLS: dict[str, tuple[Kind, str]] = {
    "a duplicate whose comma is made up for by a trace id with one less": (
        Kind.ACK,
        text(Kind.ACK).replace('"trace_id": "', '"device_id": "other", "trace_id": "', 1),
    ),
    "a duplicate of a text with a comma": (
        Kind.ACK,
        text(Kind.ACK).replace("{", '{"error_reason": "a,b", ', 1),
    ),
    "a duplicate of a text without a comma by one with": (
        Kind.ACK,
        text(Kind.ACK).replace("{", '{"trace_id": "f", ', 1).replace("4bf9", ",,,,"),
    ),
    "a duplicate mode where another slot has none": (
        Kind.SCHEDULE,
        text(Kind.SCHEDULE).replace('"rate_kw": 75.0', '"rate_kw": 75.0, "mode": "IDLE", "mode": "CHARGE"'),
    ),
    "a duplicate rate where a mode is expected": (
        Kind.SCHEDULE,
        text(Kind.SCHEDULE, ("/intervals/1/mode", None)).replace('"mode": null', '"rate_kw": 5.0'),
    ),
    "a duplicate of max_power_kw, once null": (Kind.SCHEDULE, text(Kind.SCHEDULE).replace("{", '{"max_power_kw": null, ', 1)),
    "a duplicate last of which is null": (Kind.SCHEDULE, text(Kind.SCHEDULE)[:-1] + ', "trace_id": null}'),
    "a duplicate with an escaped name": (Kind.ACK, text(Kind.ACK).replace("{", '{"stat\\u0075s": "FAILED", ', 1)),
    "a duplicate in place of an optional member": (
        Kind.ACK,
        text(Kind.ACK, ("/trace_id", None)).replace('"trace_id": null', '"status": "FAILED"'),
    ),
    "an unknown object of one member, which costs no comma inside": (
        Kind.ACK,
        text(Kind.ACK, ("/trace_id", None)).replace('"trace_id": null', '"x": {"y": 1}'),
    ),
    "a duplicate hidden in an unknown object": (
        Kind.ACK,
        text(Kind.ACK, ("/trace_id", None)).replace('"trace_id": null', '"x": {"y": 1, "y": 2}'),
    ),
    "a missing Z made up for by one in a trace id": (
        Kind.ACK,
        text(Kind.ACK, ("/timestamp", "2018-06-30T20:00:00+02:00"), ("/trace_id", "Z")),
    ),
    "a missing Z made up for by one in an id": (
        Kind.EXECUTION_RESULT,
        text(Kind.EXECUTION_RESULT, ("/timestamp", "2018-06-30T20:00:00-0200"), ("/device_id", "Z")),
    ),
    "a missing Z made up for by an escaped one": (
        Kind.ACK,
        text(Kind.ACK, ("/timestamp", "2018-06-30T20:00:00+02:00")).replace("4bf9", "\\u005aZ"),
    ),
    "a missing Z made up for by an unknown member": (
        Kind.ACK,
        text(Kind.ACK, ("/timestamp", "2018-06-30T20:00:00+02:00")).replace('"trace_id"', '"Z"'),
    ),
    "slots in an offset and a trace id full of Zs": (
        Kind.SCHEDULE,
        text(Kind.SCHEDULE, ("/trace_id", "ZZZZZZ")).replace(":00Z", ":00-0000"),
    ),
    "an offset in one slot": (
        Kind.SCHEDULE,
        text(Kind.SCHEDULE).replace("2018-07-01T00:30:00Z", "2018-07-01T01:30:00+0100", 1),
    ),
    "a mode for each duplicate": (
        Kind.SCHEDULE,
        text(Kind.SCHEDULE, ("/intervals/0/mode", "CHARGE"), ("/intervals/1/mode", "DISCHARGE")).replace(
            '"rate_kw": 0.0', '"rate_kw": 0.0, "rate_kw": 0.0'
        ),
    ),
    "a comma in a mode": (Kind.SCHEDULE, text(Kind.SCHEDULE, ("/intervals/0/mode", "CHARGE,"))),
    "an empty array in place of a text": (Kind.ACK, text(Kind.ACK, ("/trace_id", ["a", "b"]))),
}


@pytest.mark.parametrize(("kind", "crafted"), [pytest.param(*case, id=name) for name, case in FOOLS.items()])
def test_a_body_crafted_to_fool_the_counts_gets_the_slow_roads_answer(kind: Kind, crafted: str) -> None:
    assert crafted != text(kind)
    check(kind, crafted.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_encoding, "_explained", lambda *_: pytest.fail("reached", pytrace=False))
        with pytest.raises(pytest.fail.Exception, match="reached"):
            decode(crafted.encode(), kind)


def members(message: Written) -> Members:
    tree: Members = json.loads(encode(message), object_pairs_hook=Members.of)
    return tree


@given(written, randoms)
def test_a_valid_message_is_the_same_however_it_is_spelled(message: Written, rng: random.Random) -> None:
    kind = BY_TYPE[type(message)].kind
    tree = members(message)
    rng.shuffle(tree)
    spelled = spell(tree, rng).encode()
    assert decode(spelled, kind) == message
    check(kind, spelled)


@given(written, st.integers(1, 3), randoms)
def test_both_roads_agree_on_any_change_of_a_valid_message(message: Written, changes: int, rng: random.Random) -> None:
    tree: Any = members(message)
    for _ in range(changes):
        tree = change(tree, rng)
    check(BY_TYPE[type(message)].kind, spell(tree, rng, plain=rng.random() < 0.8).encode("utf-8", "surrogatepass"))


commas_and_zs = st.text(st.sampled_from([",", "Z", '"', "\\", "z", "é", ":"]), max_size=8)


@given(
    trace_id=st.none() | commas_and_zs,
    reason=st.none() | commas_and_zs,
    ids=st.tuples(st.sampled_from(["Z", "ZZ", "a"]), st.sampled_from(["Z", "ZZ", "a"])),
    times=st.tuples(*[st.sampled_from(["2018-06-30T18:00:00Z", "2018-06-30T19:00:00+01:00", "2018-06-30T18:00:00z"])] * 2),
    extra=st.lists(
        st.sampled_from(
            [
                '"status":"FAILED"',
                '"trace_id":"Z,"',
                '"trace_id":null',
                '"error_reason":",,"',
                '"applied_at":null',
                '"device_id":"Z"',
                '"x":{"Z":1}',
                '"x":",Z"',
                '"timestamp":"2018-06-30T18:00:00Z"',
            ]
        ),
        max_size=2,
    ),
    at_end=st.booleans(),
)
def test_commas_and_zs_cannot_be_traded(
    *, trace_id: str | None, reason: str | None, ids: tuple[str, str], times: tuple[str, str], extra: list[str], at_end: bool
) -> None:
    pairs = [
        ("schedule_id", ids[0]),
        ("device_id", ids[1]),
        ("status", "APPLIED"),
        ("timestamp", times[0]),
        ("applied_at", times[1]),
        *([("trace_id", trace_id)] if trace_id is not None else []),
        *([("error_reason", reason)] if reason is not None else []),
    ]
    written = [f'"{name}":{json.dumps(value, ensure_ascii=False)}' for name, value in pairs]
    crafted = ",".join([*written, *extra] if at_end else [*extra, *written])
    check(Kind.ACK, f"{{{crafted}}}".encode())


@given(st.integers(0, len(TREES) - 1), st.data())
def test_both_roads_agree_when_a_member_is_repeated(which: int, data: st.DataObject) -> None:
    kind, _, tree = TREES[which]
    name, value = data.draw(st.sampled_from(tree))
    repeated = Members(tree)
    repeated.insert(data.draw(st.integers(0, len(tree))), (name, value))
    payload = spell(repeated, random.Random(0), plain=True).encode()
    assert check(kind, payload) == ErrorCode.MESSAGE_DUPLICATE_KEY
    assert problems(payload, kind)[0].path == f"/{name}"


def test_what_only_msgspec_refuses_is_malformed() -> None:
    payload = body(Kind.ACK)[:-1] + b', "x": NaN}'
    with pytest.raises(DecodeError) as caught:
        decode(payload, Kind.ACK)
    assert caught.value.code is ErrorCode.MESSAGE_MALFORMED
    assert problems(payload, Kind.ACK) == [caught.value.problem]


def test_no_table_of_bad_bodies_is_cleared_by_counting() -> None:
    for name, bad in (BAD | NOT_JSON).items():
        assert json_encoding.FAST[bad.kind](bad.payload) is None, name
