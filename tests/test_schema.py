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
from allye_protocol.messages.registry import BY_TYPE, KINDS, VERSIONS, Kind
from allye_protocol.schema.publish import PINS
from tests.strategies import messages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from allye_protocol.messages import Message

jsonschema = pytest.importorskip("jsonschema", reason="not installed: jsonschema")

VALIDATORS = {kind: schema.validator(kind) for kind in Kind}
WORDS = {
    kind: frozenset(code for rule in schema.rules(kind, version) for code in rule.codes) for kind, version in KINDS
}  # one version so far: a second one makes this a table by version
ABSENT = object()


def example(kind: Kind) -> dict[str, Any]:
    return copy.deepcopy(VALIDATORS[kind].schema["examples"][0])


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


def refusal(payload: bytes, kind: Kind) -> DecodeError | None:
    try:
        decode(payload, kind)
    except DecodeError as error:
        return error
    return None


TIMES = """
    2018-07-01T10:00:00Z 2018-07-01t10:30:00z 2018-07-01_10:00:00Z 2018-07-01T10:15:00Z 2018-07-01T10:00:00.5Z 1530439200
    2018-07-01T10:00:00.0000001Z 2018-07-01T09:59:59.9999999Z 2018-07-01T10:00:00 2018-07-01T10:00Z 2018-07-01T10:00:00+05:45
    2018-07-01T15:45:00+05:45 2018-07-01T15:45:00+0545 2018-07-01T10:00:00+01 2018-07-01T24:00:00Z 2018-06-30T23:59:60Z
    2018-02-30T10:00:00Z 2018-13-01T10:00:00Z 2018-00-01T10:00:00Z 2018-07-00T10:00:00Z 1969-12-31T23:30:00-00:30
    1969-12-31T23:30:00Z 2200-01-01T00:00:00+01:00 2200-01-01T00:00:00Z 2201-01-01T00:00:00Z 0001-01-01T00:00:00+01:00
    9999-12-31T23:30:00-01:00 2018-07-01 2018-07-01T10:00:00.Z 2018-07-01T10:00:00,5Z 2018-07-01T10:00:00+24:00
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
    st.sampled_from([10**7, 10**7 + 1, 10**9, 10**9 + 1]),
    st.floats(-20_000, 20_000),
)
anything: st.SearchStrategy[Any] = st.one_of(times, texts, numbers, st.sampled_from([None, True, False, [], {}]))


def replacements(value: Any) -> st.SearchStrategy[Any]:
    """What may come in a value's place: mostly its like, so that what is wrong is often just one thing."""
    if isinstance(value, str) and value[4:5] == "-":
        return st.one_of(times, st.sampled_from([value.replace(":00Z", ":30Z"), value.replace("Z", "+00:00"), value]), anything)
    if isinstance(value, list):
        return st.one_of(st.permutations(value), st.just(value[1:]), st.just(value[:1] + value), anything)
    like = texts if isinstance(value, str) else numbers if isinstance(value, (int, float)) else anything
    return st.one_of(like, st.just(ABSENT), anything)


@st.composite
def bodies(draw: st.DrawFn) -> tuple[Kind, Any]:
    """The tree of a valid message, with up to three changes."""
    message: Message = draw(messages)
    tree: Any = json.loads(encode(message))
    for _ in range(draw(st.sampled_from([0, 1, 1, 2, 3]))):
        path = draw(st.sampled_from([*places(tree), ("unknown",), ("version",)]))
        old: Any = tree
        for key in path:
            old = old.get(key) if isinstance(old, dict) else old[key]
        new = draw(replacements(old))
        if new is not ABSENT or old is not None:
            tree = changed(tree, path, new)
    return BY_TYPE[type(message)].kind, tree


@settings(max_examples=1000)
@given(bodies())
def test_codec_and_schema_agree_but_for_the_rules_in_words(body: tuple[Kind, Any]) -> None:
    kind, tree = body
    error = refusal(json.dumps(tree).encode(), kind)
    by_schema = VALIDATORS[kind].is_valid(tree)
    event(f"{kind}: schema {by_schema}, codec {None if error is None else error.code}")
    if error is None:
        assert by_schema
    elif by_schema:
        assert error.code in WORDS[kind], error
        if error.code is ErrorCode.MESSAGE_INVALID:
            value = at(tree, error.path)
            assert (isinstance(value, float) and value.is_integer()) or (isinstance(value, str) and value[:1].isdigit()), error


@given(messages)
def test_every_valid_message_is_valid_by_its_schema(message: Message) -> None:
    VALIDATORS[BY_TYPE[type(message)].kind].validate(json.loads(encode(message)))


def _with(kind: Kind, pointer: str, value: Any) -> bytes:
    path = tuple(int(token) if token.isdigit() else token for token in pointer.split("/")[1:])
    return json.dumps(changed(example(kind), path, value)).encode()


BREAKERS: dict[str, tuple[Kind, ErrorCode, bytes]] = {
    "NaN": (Kind.ACK, ErrorCode.MESSAGE_MALFORMED, _with(Kind.ACK, "/unknown", float("nan"))),
    "half a surrogate pair": (Kind.ACK, ErrorCode.MESSAGE_MALFORMED, _with(Kind.ACK, "/unknown", "\ud800")),
    "too large": (Kind.ACK, ErrorCode.MESSAGE_TOO_LARGE, _with(Kind.ACK, "/unknown", "x" * MAX_PAYLOAD_BYTES)),
    "duplicate key": (Kind.ACK, ErrorCode.MESSAGE_DUPLICATE_KEY, b'{"device_id": "other",' + _with(Kind.ACK, "/x", 1)[1:]),
    "answer of version 2": (Kind.ACK, ErrorCode.VERSION_UNSUPPORTED, _with(Kind.ACK, "/version", 2)),
    "result of version 2": (
        Kind.EXECUTION_RESULT,
        ErrorCode.VERSION_UNSUPPORTED,
        _with(Kind.EXECUTION_RESULT, "/version", 2),
    ),
    "30 February": (Kind.ACK, ErrorCode.MESSAGE_INVALID, _with(Kind.ACK, "/timestamp", "2018-02-30T10:00:00Z")),
    "1969 in UTC": (Kind.ACK, ErrorCode.MESSAGE_INVALID, _with(Kind.ACK, "/timestamp", "1970-01-01T00:30:00+01:00")),
    "1.0 for 1": (Kind.SCHEDULE, ErrorCode.MESSAGE_INVALID, _with(Kind.SCHEDULE, "/version", 1.0)),
    "1.0 for 1 in a hello": (Kind.HELLO, ErrorCode.MESSAGE_INVALID, _with(Kind.HELLO, "/versions", [1.0])),
    "band upside down": (Kind.HELLO, ErrorCode.LIMIT_SOC, _with(Kind.HELLO, "/capabilities/soc_min_pct", 99)),
    "not aligned": (
        Kind.SCHEDULE,
        ErrorCode.TIME_NOT_ALIGNED,
        _with(Kind.SCHEDULE, "/intervals/0/start", "2018-07-01T10:00:00.5Z"),
    ),
    "result not aligned": (
        Kind.EXECUTION_RESULT,
        ErrorCode.TIME_NOT_ALIGNED,
        _with(Kind.EXECUTION_RESULT, "/interval/start", "2018-07-01T10:15:00+00:00"),
    ),
    "an hour long": (
        Kind.SCHEDULE,
        ErrorCode.TIME_BAD_DURATION,
        _with(Kind.SCHEDULE, "/intervals/2/end", "2018-07-01T12:00:00Z"),
    ),
    "result of an hour": (
        Kind.EXECUTION_RESULT,
        ErrorCode.TIME_BAD_DURATION,
        _with(Kind.EXECUTION_RESULT, "/interval/end", "2018-07-01T11:00:00Z"),
    ),
    "gap": (Kind.SCHEDULE, ErrorCode.TIME_GAP, _with(Kind.SCHEDULE, "/intervals/1", ABSENT)),
    "earlier": (
        Kind.SCHEDULE,
        ErrorCode.TIME_OUT_OF_ORDER,
        _with(Kind.SCHEDULE, "/intervals/1", {"start": "2018-07-01T09:00:00Z", "end": "2018-07-01T09:30:00Z", "rate_kw": 1}),
    ),
    "twice": (
        Kind.SCHEDULE,
        ErrorCode.TIME_OVERLAP,
        _with(Kind.SCHEDULE, "/intervals/1", example(Kind.SCHEDULE)["intervals"][0]),
    ),
    "own bound": (Kind.SCHEDULE, ErrorCode.LIMIT_POWER, _with(Kind.SCHEDULE, "/max_power_kw", 100)),
}


@pytest.mark.parametrize("name", BREAKERS)
def test_a_rule_in_words_is_one_that_the_schema_passes_and_the_codec_does_not(name: str) -> None:
    kind, code, payload = BREAKERS[name]
    VALIDATORS[kind].validate(json.loads(payload))
    error = refusal(payload, kind)
    assert error is not None
    assert error.code == code
    assert code in WORDS[kind]


def test_every_code_of_every_rule_in_words_is_shown_by_a_case() -> None:
    shown = {code for _, code, _ in BREAKERS.values()}
    said = {code for codes in WORDS.values() for code in codes}
    assert shown == said - {ErrorCode.MESSAGE_WRONG_DEVICE}  # a codec does not see the topic


@pytest.mark.parametrize("kind", Kind)
def test_every_rule_in_words_is_in_the_description_with_its_codes(kind: Kind) -> None:
    description = VALIDATORS[kind].schema["description"]
    for rule in next(schema.rules(known, version) for known, version in KINDS if known is kind):
        assert rule.text in description
        assert all(code in description for code in rule.codes)


@pytest.mark.parametrize("kind", Kind)
def test_a_schema_is_valid_itself_and_so_are_its_examples(kind: Kind) -> None:
    jsonschema.Draft202012Validator.check_schema(VALIDATORS[kind].schema)
    for body in VALIDATORS[kind].schema["examples"]:
        VALIDATORS[kind].validate(body)
        assert json.loads(encode(decode(json.dumps(body).encode(), kind))) == body


@pytest.mark.parametrize("kind", Kind)
def test_every_member_says_what_it_is_for(kind: Kind) -> None:
    document = VALIDATORS[kind].schema
    for node in (document, *document.get("$defs", {}).values()):
        assert node["description"]
        for name, member in node.get("properties", {}).items():
            assert len(member["description"]) > 40, name


@pytest.mark.parametrize("kind", Kind)
def test_no_text_with_a_pattern_may_end_in_a_newline(kind: Kind) -> None:
    tree = example(kind)
    patterned = ("schedule_id", "device_id", "generated_at", "timestamp", "start", "end", "applied_at")
    found = [path for path in places(tree) if path[-1] in patterned]
    assert found
    for path in found:
        value: Any = tree
        for key in path:
            value = value[key]
        assert not VALIDATORS[kind].is_valid(changed(tree, path, f"{value}\n")), path
        assert not VALIDATORS[kind].is_valid(changed(tree, path, f"\n{value}")), path


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
    tree = example(Kind.SCHEDULE)
    tree["intervals"][0].update(rate_kw=rate_kw, mode=mode)
    assert VALIDATORS[Kind.SCHEDULE].is_valid(tree) is valid
    assert (refusal(json.dumps(tree).encode(), Kind.SCHEDULE) is None) is valid


def test_identifiers_are_names_of_their_own() -> None:
    documents = [schema.generate(kind, version) for kind in Kind for version in VERSIONS]
    assert len({document["$id"] for document in documents}) == len(documents)
    assert schema.identifier(Kind.SCHEDULE) == "urn:allye:protocol:v1:schedule"
    assert all(document["$id"].startswith("urn:allye:protocol:v") for document in documents)


@pytest.mark.parametrize("kind", Kind)
def test_what_is_loaded_is_what_the_code_says(kind: Kind) -> None:
    assert schema.load(kind) == schema.generate(kind)


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


def test_what_was_just_published_has_not_drifted() -> None:
    files = schema.publish({})
    assert set(files) == {PINS, *(f"v1/{kind}.schema.json" for kind in Kind)}
    assert schema.drift(files) == []


def test_a_changed_a_missing_and_a_needless_file_are_drift() -> None:
    files = schema.publish({})
    files["v1/ack.schema.json"] = files["v1/ack.schema.json"].replace("256", "255")
    del files["v1/hello.schema.json"]
    files["v1/plan.schema.json"] = "{}"
    found = {item.path: item for item in schema.drift(files)}
    assert list(found) == ["v1/ack.schema.json", "v1/hello.schema.json", "v1/plan.schema.json"]
    assert '-      "maxLength": 255' in found["v1/ack.schema.json"].diff
    assert '+      "maxLength": 256' in found["v1/ack.schema.json"].diff
    assert "schema --write" in found["v1/hello.schema.json"].message
    assert "delete" in found["v1/plan.schema.json"].message


def test_a_wrong_hash_is_drift() -> None:
    files = schema.publish({})
    pins = json.loads(files[PINS])
    pins["schemas"]["v1/ack.schema.json"] = "0" * 64
    assert [item.path for item in schema.drift({**files, PINS: json.dumps(pins)})] == [PINS]


def test_releasing_a_version_pins_the_modules_of_its_messages() -> None:
    pins = json.loads(schema.publish({}, release=1)[PINS])
    assert list(pins["released"]["1"]) == ["allye_protocol/messages/hello.py", "allye_protocol/messages/v1.py"]


def test_a_released_module_that_changed_is_drift_until_it_is_released_again() -> None:
    files = schema.publish({}, release=1)
    assert schema.drift(files) == []
    pins = json.loads(files[PINS])
    pins["released"]["1"]["allye_protocol/messages/v1.py"] = "0" * 64
    files[PINS] = json.dumps(pins, indent=2) + "\n"
    for _ in range(2):
        assert [item.path for item in schema.drift(files)] == ["allye_protocol/messages/v1.py"]
        files = schema.publish(files)  # writing again does not hide it
    assert schema.drift(schema.publish(files, release=1)) == []


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"about": 1, "schemas": {}, "released": {}}'])
def test_pins_that_cannot_be_read_are_said_to_be_so(text: str) -> None:
    with pytest.raises(ValueError, match=r"PINNED\.json cannot be read"):
        schema.drift({PINS: text})


def test_a_version_that_does_not_exist_cannot_be_released() -> None:
    with pytest.raises(ValueError, match="no version 9"):
        schema.publish({}, release=9)
