"""The published files: drift, pins, released copies that never change, and what may not be broken."""

from __future__ import annotations

import json
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from allye_protocol import schema
from allye_protocol.errors import DecodeError, ErrorCode
from allye_protocol.messages.registry import KINDS, NEWEST, VERSIONS, Kind
from allye_protocol.schema import asyncapi, proto
from allye_protocol.schema.publish import ASYNCAPI, PINS, PROTO

SCHEMAS = {schema.path_of(kind, version or NEWEST) for kind, version in KINDS}
ACK = "v1/ack.schema.json"
RELEASED_ACK = "released/1.0.0/v1/ack.schema.json"


def released(number: str = "1.0.0") -> dict[str, str]:
    """The files of now, with a release of them."""
    before = schema.publish({})
    return {**before, **schema.publish(before, release=number)}


def problems(found: dict[str, str]) -> dict[str, str]:
    return {item.path: item.message for item in schema.drift(found)}


def test_what_was_just_published_has_not_drifted() -> None:
    found = schema.publish({})
    assert set(found) == {PINS, ASYNCAPI, PROTO, *SCHEMAS}
    assert schema.drift(found) == []
    assert schema.publish(found) == found


def test_a_kind_has_one_file_for_each_version_and_the_hello_one_for_all() -> None:
    assert schema.path_of("ack", 1) == ACK
    assert schema.path_of("ack") == f"v{NEWEST}/ack.schema.json"
    assert {schema.path_of("hello", version) for version in VERSIONS} == {"hello.schema.json"}
    with pytest.raises(DecodeError) as caught:
        schema.path_of("cancel", 1)
    assert caught.value.code is ErrorCode.VERSION_UNSUPPORTED


def test_every_file_is_pinned_with_its_hash() -> None:
    pins = json.loads(schema.publish({})[PINS])
    assert set(pins["files"]) == {ASYNCAPI, PROTO, *SCHEMAS}
    assert all(len(pin) == 64 for pin in pins["files"].values())
    assert pins["released"] == {}


def test_a_changed_a_missing_and_a_needless_file_are_drift() -> None:
    found = schema.publish({})
    found[ACK] = found[ACK].replace("256", "255")
    found[ASYNCAPI] += "# by hand\n"
    del found["hello.schema.json"]
    found["v1/plan.schema.json"] = "{}"
    wrong = {item.path: item for item in schema.drift(found)}
    assert list(wrong) == [ASYNCAPI, "hello.schema.json", ACK, "v1/plan.schema.json"]
    assert '-      "maxLength": 255' in wrong[ACK].diff
    assert '+      "maxLength": 256' in wrong[ACK].diff
    assert "-# by hand" in wrong[ASYNCAPI].diff
    assert "schema write" in wrong["hello.schema.json"].message
    assert "delete" in wrong["v1/plan.schema.json"].message


def test_a_wrong_hash_is_drift() -> None:
    found = schema.publish({})
    pins = json.loads(found[PINS])
    pins["files"][ACK] = "0" * 64
    assert list(problems({**found, PINS: json.dumps(pins)})) == [PINS]


def test_a_release_is_a_copy_of_every_file_with_its_pin() -> None:
    before = schema.publish({})
    after = schema.publish(before, release="1.0.0")
    copies = {path: text for path, text in after.items() if path.startswith("released/")}
    assert copies == {f"released/1.0.0/{path}": text for path, text in before.items() if path != PINS}
    assert json.loads(after[PINS])["released"] == {"1.0.0": json.loads(before[PINS])["files"]}
    assert problems({**before, **after}) == {}


def test_a_released_file_that_changes_is_refused_however_often_the_files_are_written() -> None:
    found = released()
    found[RELEASED_ACK] = found[RELEASED_ACK].replace("256", "255")
    for _ in range(2):
        assert "was released and has changed" in problems(found)[RELEASED_ACK]
        found |= schema.publish(found)


def test_a_released_file_that_is_missing_or_was_never_released_is_refused() -> None:
    found = released()
    found["released/1.0.0/plan.schema.json"] = "{}"
    del found[RELEASED_ACK]
    wrong = problems(found)
    assert "restore it" in wrong[RELEASED_ACK]
    assert "is in no release" in wrong["released/1.0.0/plan.schema.json"]


@pytest.mark.parametrize("number", ["1.0.0", "0.9.9", "0.10.0"])
def test_a_number_is_released_once_and_in_order(number: str) -> None:
    with pytest.raises(ValueError, match=r"1\.0\.0, which is released already"):
        schema.publish(released(), release=number)
    assert problems({**released(), **schema.publish(released(), release="1.0.1")}) == {}


@pytest.mark.parametrize("number", ["1", "v1.0.0", "1.0.0\n", "../..", "01.0.0", ""])
def test_a_release_has_a_plain_number(number: str) -> None:
    with pytest.raises(ValueError, match="a number like 1"):
        schema.publish({}, release=number)


def test_a_contract_that_breaks_the_newest_release_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    found = released("1.9.0")
    found |= schema.publish(found, release="1.10.0")
    # What was released had a member that is gone, and one less in a closed set.
    path = "released/1.10.0/v2/cancel.schema.json"
    document = json.loads(found[path])
    document["properties"]["urgency"] = {"type": "string"}
    found[path] = json.dumps(document)
    wrong = problems(found)
    assert wrong["v2/cancel.schema.json"].startswith("breaks release 1.10.0 at /properties/urgency: the member is gone")
    assert "new major version" in wrong["v2/cancel.schema.json"]


def test_a_contract_that_only_adds_to_the_newest_release_is_not() -> None:
    found = released()
    path = "released/1.0.0/v2/cancel.schema.json"
    document = json.loads(found[path])
    del document["properties"]["reason"]
    found[path] = json.dumps(document)
    assert list(problems(found)) == [path]  # for its hash, not for what it says


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"about": 1, "files": {}, "released": {}}', '{"about": "", "files": {}, "released": {"x": {}}}']
)
def test_pins_that_cannot_be_read_are_said_to_be_so(text: str) -> None:
    with pytest.raises(ValueError, match=r"PINNED\.json cannot be read"):
        schema.drift({PINS: text})


def test_what_is_shipped_is_what_the_code_says() -> None:
    assert schema.shipped() == schema.publish({})


def test_what_is_shipped_comes_from_the_package_where_it_has_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {**schema.publish({}), "v1/ack.schema.json": '{"x": 1}'}
    for path, text in texts.items():
        (tmp_path / "schemas" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "schemas" / path).write_text(text, encoding="utf-8")
    monkeypatch.setattr(sys.modules["allye_protocol.schema.publish"], "files", lambda _: tmp_path)
    assert schema.shipped() == texts
    assert schema.load(Kind.ACK, 1) == {"x": 1}


def test_the_committed_files_are_found_beside_the_package() -> None:
    """In a checkout, and only there: this guards the folder that is put into the wheel."""
    folder = Path(__file__).parents[1] / "schemas"
    if not folder.is_dir():
        assert files("allye_protocol").joinpath("schemas", PINS).is_file()
        return
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found >= {PINS, ASYNCAPI, PROTO, *SCHEMAS}
    assert (folder / ASYNCAPI).read_text(encoding="utf-8") == asyncapi.text()
    assert (folder / PROTO).read_text(encoding="utf-8") == proto.text()
