"""The vectors as data: they are what their builder writes, there are enough of them, and each bad one is bad for one reason."""

from __future__ import annotations

import base64
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from allye_protocol import codec
from allye_protocol.conformance.vectors import OPS, Section, load_sections
from allye_protocol.errors import ErrorCode
from tests.conformance.builder.files import FOLDER, SECTIONS, drift

if TYPE_CHECKING:
    from pathlib import Path

    from allye_protocol.conformance.vectors import Vector

SHIPPED = load_sections()
"""As the library under test ships them."""
FILED = {section.name: section for section in SHIPPED if not section.name.endswith("-encode")}
LEAST = {"v1-json": (40, 120), "v2-json": (40, 120), "v2-msgpack": (40, 120), "v2-protobuf": (40, 120)}


def counts(section: Section) -> tuple[int, int]:
    good = sum(vector.error is None for vector in section.vectors)
    return good, len(section.vectors) - good


def payload(vector: Vector) -> bytes:
    return base64.b64decode(vector.parameters["payload_base64"])


def folder(tmp_path: Path, **document: Any) -> Path:
    whole = {"order": 1, "about": "a test's", "op": "decode", "vectors": [], **document}
    (tmp_path / "section.json").write_text(json.dumps(whole), encoding="utf-8")
    return tmp_path


def entry(**members: Any) -> dict[str, Any]:
    about = {"name": "n", "why": "w", "kind": "ack", "content_type": "application/json", "payload": "{}"}
    made = {**about, "expect": {"message": {}}, **members}
    return {name: value for name, value in made.items() if value is not ...}


def test_the_files_are_what_their_builder_writes() -> None:
    assert drift(FOLDER) == []


def test_a_file_that_was_edited_or_is_nobodys_is_drift(tmp_path: Path) -> None:
    for path in FOLDER.glob("*.json"):
        (tmp_path / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "v1-json.json").write_text("{}", encoding="utf-8")
    (tmp_path / "another.json").write_text("{}", encoding="utf-8")
    assert [line.partition(":")[0] for line in drift(tmp_path)] == ["another.json", "v1-json.json"]


def test_every_section_is_shipped_in_the_order_of_the_report() -> None:
    assert list(FILED) == [name for name, *_ in SECTIONS]


@pytest.mark.parametrize(("section", "least"), LEAST.items(), ids=list(LEAST))
def test_there_are_enough_good_and_bad_payloads(section: str, least: tuple[int, int]) -> None:
    good, bad = counts(FILED[section])
    assert (good >= least[0], bad >= least[1]) == (True, True), (good, bad)


def test_every_kind_of_question_has_vectors() -> None:
    assert {vector.op for section in FILED.values() for vector in section.vectors} == set(OPS)


def test_every_kind_of_message_has_good_and_bad_payloads_in_every_encoding() -> None:
    kinds = {(s.name, v.parameters["kind"], v.error is None) for s in FILED.values() if s.name in LEAST for v in s.vectors}
    of_version_1 = ("schedule", "ack", "execution_result")
    of_version_2 = (*of_version_1, "cancel", "schedule_event", "device_status")
    for section in LEAST:
        for kind in of_version_1 if section == "v1-json" else of_version_2:
            assert {(section, kind, True), (section, kind, False)} <= kinds


def test_every_code_that_decoding_has_is_expected_somewhere() -> None:
    expected = {vector.error["code"] for section in FILED.values() for vector in section.vectors if vector.error}
    decoding = {code for code in ErrorCode if code.error_class in {"message", "time"}}
    # These are a device's own, said in answers: admission has them, and the signature's is its own test.
    answered = {"message.wrong_device", "message.bad_signature", "time.expired", "time.too_far"}
    assert decoding - answered <= expected
    assert expected <= set(ErrorCode)


def test_no_payload_comes_twice_in_a_section() -> None:
    for section in LEAST:
        seen = Counter((vector.parameters["kind"], payload(vector)) for vector in FILED[section].vectors)
        assert [kind for kind, times in seen.items() if times > 1] == []


@pytest.mark.parametrize("section", [*LEAST, "hello-json", "encodings"])
def test_a_bad_payload_is_bad_for_exactly_one_reason(section: str) -> None:
    several = {}
    for vector in FILED[section].vectors:
        if vector.error is None:
            continue
        found = codec.problems(payload(vector), vector.parameters["kind"], vector.parameters["content_type"])
        if [(problem.code, problem.path) for problem in found] != [(vector.error["code"], vector.error["path"])]:
            several[vector.name] = [str(problem) for problem in found]
    assert several == {}


def test_a_message_is_to_be_written_once() -> None:
    for section in SHIPPED:
        if section.name.endswith("-encode"):
            messages = [json.dumps(vector.parameters["message"]) for vector in section.vectors]
            assert len(messages) == len(set(messages))
            assert messages


class TestLoading:
    def test_a_payload_is_asked_in_base64_however_it_is_given(self, tmp_path: Path) -> None:
        given = [entry(name="text", payload="\u00e9"), entry(name="bytes", payload=..., payload_base64="w6k=")]
        (section, _) = load_sections(folder(tmp_path, vectors=given))
        assert [payload(vector) for vector in section.vectors] == ["\u00e9".encode()] * 2
        assert all("payload" not in vector.parameters for vector in section.vectors)

    def test_what_the_asked_must_speak_is_read_from_the_question(self, tmp_path: Path) -> None:
        needs = {"versions": [1, 2], "content_types": []}
        given = [entry(version=2), entry(name="said", version=2, needs=needs), entry(name="any", content_type="text/plain")]
        (section, _) = load_sections(folder(tmp_path, vectors=given))
        assert [(vector.versions, vector.content_types) for vector in section.vectors] == [
            ((2,), ("application/json",)),
            ((1, 2), ("application/json",)),
            ((), ()),
        ]
        assert not {"version", "needs"} & set(section.vectors[1].parameters)

    @pytest.mark.parametrize(
        ("vectors", "said"),
        [
            ([entry(), entry()], "same name"),
            ([entry(name=...)], "has a name"),
            ([entry(why="")], "why"),
            ([entry(expect=...)], "either expect or error"),
            ([entry(error={"code": "message.invalid"})], "either expect or error"),
            ([entry(expect={"massage": {}})], "a message alone"),
            ([entry(expcet={})], "no expcet"),
            ([entry(payload_base64="w6k=")], "either payload or payload_base64"),
            ([entry(payload=..., payload_base64="?")], "section.json"),
            ([entry(needs={"version": 1})], "section.json"),
            ([7], "section.json"),
        ],
    )
    def test_a_broken_entry_is_refused_by_its_file(self, vectors: list[Any], said: str, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"section\.json") as caught:
            load_sections(folder(tmp_path, vectors=vectors))
        assert said in str(caught.value)

    def test_a_step_with_an_unknown_member_is_refused(self, tmp_path: Path) -> None:
        steps = [{"at": "2018-07-01T00:00:00Z", "restrat": True}]
        broken = {"name": "n", "why": "w", "device": {}, "steps": steps, "expect": {"answers": [[]]}}
        with pytest.raises(ValueError, match="restrat"):
            load_sections(folder(tmp_path, op="admission", vectors=[broken]))

    @pytest.mark.parametrize("document", [{"op": "guess"}, {"vectros": []}, {"order": "1"}])
    def test_a_broken_file_is_refused(self, document: dict[str, Any], tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"section\.json"):
            load_sections(folder(tmp_path, **document))

    def test_a_folder_without_vectors_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="no vectors"):
            load_sections(tmp_path)
