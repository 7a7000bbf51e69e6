"""Schemas: what they accept is what the codec accepts, but for the rules that they say in words."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from allye_protocol import schema
from allye_protocol.codec import MAX_PAYLOAD_BYTES, decode, encode
from allye_protocol.errors import DecodeError, ErrorCode
from allye_protocol.messages.registry import BY_TYPE, KINDS, NEWEST, VERSIONS, Kind
from tests.strategies import written

if TYPE_CHECKING:
    from collections.abc import Iterator

    from allye_protocol.messages import Written

jsonschema = pytest.importorskip("jsonschema", reason="not installed: jsonschema")

Type = tuple[Kind, int]
"""A kind in a version; 0 for the hello."""
VALIDATORS = {(kind, version): schema.validator(kind, version or NEWEST) for kind, version in KINDS}
WORDS = {key: frozenset(code for rule in schema.rules(*key) for code in rule.codes) for key in KINDS}
ABSENT = object()
TYPES = pytest.mark.parametrize("key", KINDS, ids=lambda key: f"{key[0]}-{key[1]}")


def example(key: Type, index: int = 0) -> dict[str, Any]:
    return copy.deepcopy(VALIDATORS[key].schema["examples"][index])


def key_of(message: Written) -> Type:
    spec = BY_TYPE[type(message)]
    return spec.kind, spec.version


def places(node: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place in a tree but the root."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield (*path, key)
        yield from places(value, (*path, key))


def changed(tree: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """A copy with another value, or none, at one place."""
    tree = copy.deepcopy(tree)
    holder = tree
    for key in path[:-1]:
        holder = holder[key]
    if value is ABSENT:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return tree


def at(tree: Any, pointer: str) -> Any:
    for token in pointer.split("/")[1:]:
        tree = tree[int(token) if isinstance(tree, list) else token]
    return tree


def outcome(payload: bytes, kind: Kind) -> Written | DecodeError:
    try:
        return decode(payload, kind)
    except DecodeError as error:
        return error


def is_of_another_version(tree: Any, version: int) -> bool:
    """Whether a reader takes a body for one of another version than that of a schema."""
    says = tree.get("version") if isinstance(tree, dict) else None
    return version > 0 and isinstance(says, int) and not isinstance(says, bool) and says != version


TIMES = """
    2018-07-01T10:00:00Z 2018-07-01t10:30:00z 2018-07-01_10:00:00Z 2018-07-01T10:15:00Z 2018-07-01T10:00:00.5Z 1530439200
    2018-07-01T10:00:00.0000001Z 2018-07-01T09:59:59.9999999Z 2018-07-01T10:00:00 2018-07-01T10:00Z 2018-07-01T10:00:00+05:45
    2018-07-01T15:45:00+05:45 2018-07-01T15:45:00+0545 2018-07-01T10:00:00+01 2018-07-01T24:00:00Z 2018-06-30T23:59:60Z
    2018-02-30T10:00:00Z 2018-13-01T10:00:00Z 2018-00-01T10:00:00Z 2018-07-00T10:00:00Z 1969-12-31T23:30:00-00:30
    1969-12-31T23:30:00Z 2200-01-01T00:00:00+01:00 2200-01-01T00:00:00Z 2201-01-01T00:00:00Z 0001-01-01T00:00:00+01:00
    9999-12-31T23:30:00-01:00 2018-07-01 2018-07-01T10:00:00.Z 2018-07-01T10:00:00,5Z 2018-07-01T10:00:00+24:00
    2018-07-01T10:05:00Z 2018-07-01T10:04:59.9999999Z 2018-07-01T10:45:00Z 2018-07-01T10:20:00+00:05 2199-12-25T00:00:00Z
    2018-07-01T10:00:00-00:60 20180701T100000Z 1969-12-31T23:59:59.9999999Z 2199-12-31T23:59:59.9999999Z
    """
times = st.sampled_from(
    [*TIMES.split(), "2018-07-01T10:00:00Z\n", " 2018-07-01T10:00:00Z", "2018-07-01 10:00:00Z", "٢018-07-01T10:00:00Z"]
)
texts = st.sampled_from(
    [
        "",
        "\n",
        "a",
        "a\n",
        "é",
        "CHARGE",
        "APPLIED",
        "RECEIVED",
        "CANCELLED",
        "STARTED",
        "NOT_EXECUTED",
        "FULL",
        "limit.power",
        "limit.",
        "0" * 64,
        "DISCHARGE",
        "IDLE",
        "FAILED",
        "FAIL",
        "charge",
        *("x" * n for n in (64, 65, 257, 1025)),
    ]
)
numbers = st.one_of(
    st.sampled_from([0, 1, 2, -1, 1.0, 2.0, 0.5, 1e3, 1e4, 10_000.5, -10_000.5, 65_535, 65_536, 10**25, 1e308, 100.5, -0.0]),
    st.sampled_from([10**7, 10**7 + 1, 10**9, 10**9 + 1, 300, 900, 1800, 3600, 600, 7258118399999999, 7258118400000000]),
    st.floats(-20_000, 20_000),
)
anything: st.SearchStrategy[Any] = st.one_of(times, texts, numbers, st.sampled_from([None, True, False, [], {}]))


def replacements(value: Any) -> st.SearchStrategy[Any]:
    """What may come in a value's place: mostly its like, so that what is wrong is often just one thing."""
    if isinstance(value, str) and value[4:5] == "-":
        return st.one_of(times, st.sampled_from([value.replace(":00Z", ":30Z"), value.replace("Z", "+00:00"), value]), anything)
    if isinstance(value, list):
        others = [value[1:], value[:1] + value, value * 3, (value * 337)[:337], (value * 2017)[:2017]]
        return st.one_of(st.permutations(value), st.sampled_from(others), anything)
    like = texts if isinstance(value, str) else numbers if isinstance(value, (int, float)) else anything
    return st.one_of(like, st.just(ABSENT), anything)


@st.composite
def bodies(draw: st.DrawFn) -> tuple[Kind, Any]:
    """The tree of a valid message, with up to three changes."""
    message: Written = draw(written)
    tree: Any = json.loads(encode(message))
    members = [(name,) for name in VALIDATORS[key_of(message)].schema["properties"]]
    for _ in range(draw(st.sampled_from([0, 1, 1, 2, 3]))):
        path = draw(st.sampled_from([*places(tree), *members, ("unknown",), ("version",)]))
        old: Any = tree
        for key in path:
            old = old.get(key) if isinstance(old, dict) else old[key]
        new = draw(replacements(old))
        if new is not ABSENT or old is not None:
            tree = changed(tree, path, new)
    return BY_TYPE[type(message)].kind, tree


@settings(max_examples=1500, deadline=None)
@given(bodies())
def test_codec_and_schema_agree_but_for_the_rules_in_words(body: tuple[Kind, Any]) -> None:
    kind, tree = body
    found = outcome(json.dumps(tree).encode(), kind)
    if not isinstance(found, DecodeError):
        event(f"{key_of(found)}: taken")
        assert VALIDATORS[key_of(found)].is_valid(tree)
        return
    for key in KINDS:
        if key[0] is not kind or is_of_another_version(tree, key[1]) or not VALIDATORS[key].is_valid(tree):
            continue
        event(f"{key}: {found.code} by a rule in words")
        assert found.code in WORDS[key], found
        if found.code is ErrorCode.MESSAGE_INVALID and (key[1] != 1 or found.path != "/version"):
            value = at(tree, found.path)
            assert (isinstance(value, float) and value.is_integer()) or (isinstance(value, str) and value[:1].isdigit()), found


@given(written)
def test_every_valid_message_is_valid_by_its_schema(message: Written) -> None:
    VALIDATORS[key_of(message)].validate(json.loads(encode(message)))


SCHEDULE_1, ACK_1, RESULT_1 = (Kind.SCHEDULE, 1), (Kind.ACK, 1), (Kind.EXECUTION_RESULT, 1)
SCHEDULE_2, ACK_2, RESULT_2 = (Kind.SCHEDULE, 2), (Kind.ACK, 2), (Kind.EXECUTION_RESULT, 2)
CANCEL_2, EVENT_2, STATUS_2, HELLO = (Kind.CANCEL, 2), (Kind.SCHEDULE_EVENT, 2), (Kind.DEVICE_STATUS, 2), (Kind.HELLO, 0)


def _with(key: Type, pointer: str, value: Any, index: int = 0) -> tuple[Type, bytes]:
    path = tuple(int(token) if token.isdigit() else token for token in pointer.split("/")[1:])
    return key, json.dumps(changed(example(key, index), path, value)).encode()


def _huge(key: Type, index: int) -> tuple[Type, bytes]:
    """A message with a figure that no double can hold."""
    _, payload = _with(key, "/error/value", 12345, index)
    return key, payload.replace(b"12345", b"1" + b"0" * 400)


def _of_version(key: Type, version: Any) -> tuple[Type, bytes]:
    """A body that is told from one of another version by this member alone."""
    return key, json.dumps({**changed(example(key), ("trace_id",), ABSENT), "version": version}).encode()


BREAKERS: dict[str, tuple[tuple[Type, bytes], ErrorCode]] = {
    "NaN": (_with(ACK_1, "/unknown", float("nan")), ErrorCode.MESSAGE_MALFORMED),
    "half a surrogate pair": (_with(ACK_2, "/unknown", "\ud800"), ErrorCode.MESSAGE_MALFORMED),
    "too large": (_with(ACK_1, "/unknown", "x" * MAX_PAYLOAD_BYTES), ErrorCode.MESSAGE_TOO_LARGE),
    "duplicate key": ((CANCEL_2, b'{"device_id": "other",' + _with(CANCEL_2, "/x", 1)[1][1:]), ErrorCode.MESSAGE_DUPLICATE_KEY),
    "answer of version 3": (_with(ACK_1, "/version", 3), ErrorCode.VERSION_UNSUPPORTED),
    "answer of version x": (_of_version(ACK_1, "x"), ErrorCode.MESSAGE_INVALID),
    "result of version 3": (_with(RESULT_1, "/version", 3), ErrorCode.VERSION_UNSUPPORTED),
    "30 February": (_with(ACK_1, "/timestamp", "2018-02-30T10:00:00Z"), ErrorCode.MESSAGE_INVALID),
    "1969 in UTC": (_with(STATUS_2, "/timestamp", "1970-01-01T00:30:00+01:00"), ErrorCode.MESSAGE_INVALID),
    "1.0 for 1": (_with(SCHEDULE_1, "/version", 1.0), ErrorCode.MESSAGE_INVALID),
    "2.0 for 2": (_with(EVENT_2, "/version", 2.0), ErrorCode.MESSAGE_INVALID),
    "75000.0 watts": (_with(SCHEDULE_2, "/rates_w/0", 75_000.0), ErrorCode.MESSAGE_INVALID),
    "1.0 for 1 in a hello": (_with(HELLO, "/versions", [1.0]), ErrorCode.MESSAGE_INVALID),
    "band upside down": (_with(HELLO, "/capabilities/soc_min_pct", 99), ErrorCode.LIMIT_SOC),
    "limits upside down": (_with(SCHEDULE_2, "/soc_min_pct", 95, 1), ErrorCode.LIMIT_SOC),
    "a limit too fine": (_with(SCHEDULE_2, "/soc_min_pct", 20.0001, 1), ErrorCode.LIMIT_SOC),
    "not aligned": (_with(SCHEDULE_1, "/intervals/0/start", "2018-07-01T10:00:00.5Z"), ErrorCode.TIME_NOT_ALIGNED),
    "start not aligned": (_with(SCHEDULE_2, "/start", "2018-07-01T10:10:00+00:05"), ErrorCode.TIME_NOT_ALIGNED),
    "start half a second late": (_with(SCHEDULE_2, "/start", "2018-07-01T10:00:00.5Z"), ErrorCode.TIME_NOT_ALIGNED),
    "a slot that ends in 2200": (_with(SCHEDULE_2, "/start", "2199-12-31T23:30:00Z"), ErrorCode.MESSAGE_INVALID),
    "result not aligned": (_with(RESULT_1, "/interval/start", "2018-07-01T10:15:00+00:00"), ErrorCode.TIME_NOT_ALIGNED),
    "slot not aligned": (_with(RESULT_2, "/slot_start", "2018-07-01T10:03:00+00:00"), ErrorCode.TIME_NOT_ALIGNED),
    "an hour long": (_with(SCHEDULE_1, "/intervals/2/end", "2018-07-01T12:00:00Z"), ErrorCode.TIME_BAD_DURATION),
    "result of an hour": (_with(RESULT_1, "/interval/end", "2018-07-01T11:00:00Z"), ErrorCode.TIME_BAD_DURATION),
    "slot of two hours": (_with(RESULT_2, "/slot_end", "2018-07-01T12:00:00Z"), ErrorCode.TIME_BAD_DURATION),
    "gap": (_with(SCHEDULE_1, "/intervals/1", ABSENT), ErrorCode.TIME_GAP),
    "earlier": (
        _with(SCHEDULE_1, "/intervals/1", {"start": "2018-07-01T09:00:00Z", "end": "2018-07-01T09:30:00Z", "rate_kw": 1}),
        ErrorCode.TIME_OUT_OF_ORDER,
    ),
    "twice": (_with(SCHEDULE_1, "/intervals/1", example(SCHEDULE_1)["intervals"][0]), ErrorCode.TIME_OVERLAP),
    "own bound": (_with(SCHEDULE_1, "/max_power_kw", 100), ErrorCode.LIMIT_POWER),
    "figure of an answer beyond doubles": (_huge(ACK_2, 2), ErrorCode.MESSAGE_NON_FINITE_NUMBER),
    "figure of an answer just beyond doubles": (
        (ACK_2, _huge(ACK_2, 2)[1].replace(b"0" * 400, b"0" * 309)),
        ErrorCode.MESSAGE_NON_FINITE_NUMBER,
    ),
    "figure of a result beyond doubles": (_huge(RESULT_2, 1), ErrorCode.MESSAGE_NON_FINITE_NUMBER),
    "figure of an event beyond doubles": (_huge(EVENT_2, 2), ErrorCode.MESSAGE_NON_FINITE_NUMBER),
}


@pytest.mark.parametrize("name", BREAKERS)
def test_a_rule_in_words_is_one_that_the_schema_passes_and_the_codec_does_not(name: str) -> None:
    (key, payload), code = BREAKERS[name]
    VALIDATORS[key].validate(json.loads(payload))
    error = outcome(payload, key[0])
    assert isinstance(error, DecodeError)
    assert error.code == code
    assert code in WORDS[key]


def test_every_code_of_every_rule_in_words_is_shown_by_a_case() -> None:
    shown = {code for _, code in BREAKERS.values()}
    said = {code for codes in WORDS.values() for code in codes}
    assert shown == said - {ErrorCode.MESSAGE_WRONG_DEVICE}  # a codec does not see the topic


@TYPES
def test_every_rule_in_words_is_in_the_description_with_its_codes(key: Type) -> None:
    description = VALIDATORS[key].schema["description"]
    for rule in schema.rules(*key):
        assert rule.text in description
        assert all(code in description for code in rule.codes)


@TYPES
def test_a_schema_is_valid_itself_and_so_are_its_examples(key: Type) -> None:
    jsonschema.Draft202012Validator.check_schema(VALIDATORS[key].schema)
    for body in VALIDATORS[key].schema["examples"]:
        VALIDATORS[key].validate(body)
        assert json.loads(encode(decode(json.dumps(body).encode(), key[0]))) == body


@TYPES
def test_every_member_says_what_it_is_for(key: Type) -> None:
    document = VALIDATORS[key].schema
    for node in (document, *document["$defs"].values()):
        assert node["description"]
        for name, member in node.get("properties", {}).items():
            assert member.get("description", ""), name


@TYPES
def test_no_text_with_a_pattern_may_end_in_a_newline(key: Type) -> None:
    names = {name for node in _nodes(VALIDATORS[key].schema) for name, inner in node.items() if "pattern" in _dict(inner)}
    for index in range(len(VALIDATORS[key].schema["examples"])):
        tree = example(key, index)
        found = [path for path in places(tree) if path[-1] in names]
        assert found
        for path in found:
            value: Any = tree
            for step in path:
                value = value[step]
            assert not VALIDATORS[key].is_valid(changed(tree, path, f"{value}\n")), path
            assert not VALIDATORS[key].is_valid(changed(tree, path, f"\n{value}")), path


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _nodes(node: Any) -> Iterator[dict[str, Any]]:
    """Every object in a schema that has members' names for keys."""
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _nodes(child)
    if isinstance(node, dict):
        yield _dict(node.get("properties"))


def _patterns(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("pattern"), str):
            yield node["pattern"]
        for value in node.values():
            yield from _patterns(value)
    elif isinstance(node, list):
        for value in node:
            yield from _patterns(value)


def test_patterns_keep_to_what_all_implementations_read_alike() -> None:
    found = {pattern for validator in VALIDATORS.values() for pattern in _patterns(validator.schema)}
    assert found
    for pattern in found:
        assert "(?" not in pattern
        assert "\\" not in pattern.replace("\\.", "")


@pytest.mark.parametrize(
    ("rate_kw", "mode", "valid"),
    [
        (1, "CHARGE", True),
        (0, "CHARGE", True),
        (-1, "CHARGE", False),
        (-1, "DISCHARGE", True),
        (0, "DISCHARGE", True),
        (1, "DISCHARGE", False),
        (0, "IDLE", True),
        (-0.0, "IDLE", True),
        (0.001, "IDLE", False),
        (-1, None, True),
    ],
)
def test_the_schema_holds_mode_against_the_sign(rate_kw: float, mode: str | None, *, valid: bool) -> None:
    tree = example(SCHEDULE_1)
    tree["intervals"][0].update(rate_kw=rate_kw, mode=mode)
    assert_both(SCHEDULE_1, tree, valid=valid)


def assert_both(key: Type, tree: Any, *, valid: bool) -> None:
    """The schema says this of a body, and the codec says the same."""
    assert VALIDATORS[key].is_valid(tree) is valid
    assert isinstance(outcome(json.dumps(tree).encode(), key[0]), DecodeError) is not valid


RELATIONS: dict[str, tuple[Type, int, dict[str, Any], bool]] = {
    "APPLIED with its time": (ACK_2, 1, {}, True),
    "APPLIED without its time": (ACK_2, 1, {"applied_at": ABSENT}, False),
    "APPLIED with null for its time": (ACK_2, 1, {"applied_at": None}, False),
    "APPLIED with an error": (ACK_2, 1, {"error": {"code": "limit.power"}}, False),
    "APPLIED with null for an error": (ACK_2, 1, {"error": None}, True),
    "FAILED without an error": (ACK_2, 2, {"error": ABSENT}, False),
    "FAILED with a time of arming": (ACK_2, 2, {"applied_at": "2018-06-30T18:00:02Z"}, False),
    "FAILED with null for one": (ACK_2, 2, {"applied_at": None}, True),
    "RECEIVED with an error": (ACK_2, 0, {"error": {"code": "limit.power"}}, False),
    "RECEIVED with a time of arming": (ACK_2, 0, {"applied_at": "2018-06-30T18:00:02Z"}, False),
    "FULL and FAIL": (RESULT_2, 0, {"status": "FAIL"}, False),
    "FAULTED and SUCCEED": (RESULT_2, 0, {"outcome": "FAULTED"}, False),
    "NOT_EXECUTED and SUCCEED": (RESULT_2, 0, {"outcome": "NOT_EXECUTED"}, False),
    "LIMITED and SUCCEED": (RESULT_2, 0, {"outcome": "LIMITED"}, True),
    "no outcome": (RESULT_2, 0, {"outcome": None}, True),
    "a slot at ten past": (RESULT_2, 0, {"slot_end": "2018-07-01T10:10:00Z"}, True),
    "a slot at eleven past": (RESULT_2, 0, {"slot_end": "2018-07-01T10:11:00Z"}, False),
    "STARTED without a schedule": (EVENT_2, 0, {"schedule_id": ABSENT}, False),
    "EXPIRED with null for a schedule": (EVENT_2, 0, {"event": "EXPIRED", "schedule_id": None}, False),
    "OVERRIDDEN without a schedule": (EVENT_2, 0, {"event": "OVERRIDDEN", "schedule_id": ABSENT}, True),
    "CANCELLED without a sequence": (EVENT_2, 1, {"sequence": ABSENT}, False),
    "a cancel of nothing": (CANCEL_2, 0, {"schedule_id": ABSENT}, False),
    "a cancel of null": (CANCEL_2, 0, {"schedule_id": None}, False),
    "a cancel from an instant on": (CANCEL_2, 0, {"schedule_id": ABSENT, "effective_from": "2018-07-01T10:00:00Z"}, True),
    "seven days of half-hours": (SCHEDULE_2, 0, {"rates_w": [0] * 336}, True),
    "half an hour more": (SCHEDULE_2, 0, {"rates_w": [0] * 337}, False),
    "seven days of five minutes": (SCHEDULE_2, 0, {"rates_w": [0] * 2016, "resolution_s": 300}, True),
    "five minutes more": (SCHEDULE_2, 0, {"rates_w": [0] * 2017, "resolution_s": 300}, False),
    "a quarter of an hour more": (SCHEDULE_2, 0, {"rates_w": [0] * 673, "resolution_s": 900}, False),
    "an hour more": (SCHEDULE_2, 0, {"rates_w": [0] * 169, "resolution_s": 3600}, False),
    "hours from half past": (SCHEDULE_2, 0, {"start": "2018-07-01T10:30:00Z", "resolution_s": 3600}, False),
    "half-hours from half past": (SCHEDULE_2, 0, {"start": "2018-07-01T10:30:00Z"}, True),
    "half-hours from a quarter past": (SCHEDULE_2, 0, {"start": "2018-07-01T10:15:00Z"}, False),
    "quarters from a quarter past": (SCHEDULE_2, 0, {"start": "2018-07-01T10:15:00Z", "resolution_s": 900}, True),
    "quarters from five past": (SCHEDULE_2, 0, {"start": "2018-07-01T10:05:00Z", "resolution_s": 900}, False),
    "five minutes from five past": (SCHEDULE_2, 0, {"start": "2018-07-01T10:05:00Z", "resolution_s": 300}, True),
}


@pytest.mark.parametrize("name", RELATIONS)
def test_the_schema_knows_what_belongs_together(name: str) -> None:
    key, index, members, valid = RELATIONS[name]
    tree = example(key, index)
    for member, value in members.items():
        tree = changed(tree, (member,), value) if value is not ABSENT or member in tree else tree
    assert_both(key, tree, valid=valid)


def test_identifiers_are_names_of_their_own() -> None:
    documents = [schema.generate(kind, version or NEWEST) for kind, version in KINDS]
    assert len({document["$id"] for document in documents}) == len(documents)
    assert schema.identifier(Kind.SCHEDULE, 1) == "urn:allye:protocol:v1:schedule"
    assert {schema.identifier(Kind.HELLO, version) for version in VERSIONS} == {"urn:allye:protocol:hello"}


@TYPES
def test_what_is_loaded_is_what_the_code_says(key: Type) -> None:
    assert schema.load(key[0], key[1] or NEWEST) == schema.generate(key[0], key[1] or NEWEST)


def test_a_document_is_the_callers_own() -> None:
    schema.load(Kind.ACK)["properties"].clear()
    schema.generate(Kind.ACK)["$defs"].clear()
    assert schema.load(Kind.ACK)["properties"]
    assert schema.generate(Kind.ACK)["$defs"]


@pytest.mark.parametrize(
    ("kind", "version", "code"),
    [
        ("plan", 1, ErrorCode.MESSAGE_UNKNOWN_KIND),
        ("ack", 9, ErrorCode.VERSION_UNSUPPORTED),
        ("hello", 0, ErrorCode.VERSION_UNSUPPORTED),
        ("hello", 9, ErrorCode.VERSION_UNSUPPORTED),
        ("cancel", 1, ErrorCode.VERSION_UNSUPPORTED),
    ],
)
def test_an_unknown_kind_or_version_is_a_typed_error(kind: str, version: int, code: ErrorCode) -> None:
    for ask in (schema.load, schema.generate, schema.path_of, schema.validator):
        with pytest.raises(DecodeError) as caught:
            ask(kind, version)
        assert caught.value.code is code


def test_neither_the_package_nor_the_schemas_import_jsonschema() -> None:
    code = "import sys, allye_protocol; assert 'allye_protocol.schema' not in sys.modules; import allye_protocol.schema as s;"
    code += "s.generate('ack'); sys.exit('jsonschema' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_without_jsonschema_a_validator_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    with pytest.raises(ImportError, match=r'pip install "allye-protocol\[schema\]"'):
        schema.validator(Kind.ACK)
