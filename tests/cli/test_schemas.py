"""``schema``: printing, copying and comparing contracts, and keeping a folder of them in step with the code."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from allye_protocol import schema
from allye_protocol.cli.main import main
from allye_protocol.cli.streams import Exit
from allye_protocol.messages import Kind
from allye_protocol.messages.registry import KINDS
from allye_protocol.schema.publish import PINS

if TYPE_CHECKING:
    from pathlib import Path


class TestSchema:
    @pytest.mark.parametrize("key", KINDS, ids=lambda key: f"{key[0]}-{key[1]}")
    def test_a_schema_is_printed(self, key: tuple[Kind, int], capsys: Any) -> None:
        version = key[1] or 1
        assert main(["schema", "show", key[0], "--version", str(version)]) == Exit.OK
        assert json.loads(capsys.readouterr().out) == schema.load(key[0], version)

    def test_a_kind_that_a_version_has_not_is_a_usage_error(self, capsys: Any) -> None:
        assert main(["schema", "show", "cancel", "--version", "1"]) == Exit.USAGE
        assert "no cancel of version 1; there is 2" in capsys.readouterr().err

    def test_all_of_them_are_listed(self, capsys: Any) -> None:
        assert main(["schema", "list"]) == Exit.OK
        assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [kind for kind, _ in KINDS]
        assert main(["schema", "list", "--json"]) == Exit.OK
        rows = json.loads(capsys.readouterr().out)
        assert {"kind": "ack", "version": 1, "id": "urn:allye:protocol:v1:ack", "path": "v1/ack.schema.json"} in rows
        assert {"kind": "hello", "version": None, "id": "urn:allye:protocol:hello", "path": "hello.schema.json"} in rows

    def test_all_contracts_are_exported(self, tmp_path: Path, capsys: Any) -> None:
        assert main(["schema", "export", str(tmp_path / "a" / "b")]) == Exit.OK
        assert capsys.readouterr().out.count("wrote") == len(KINDS) + 3
        found = {path.relative_to(tmp_path / "a" / "b").as_posix() for path in (tmp_path / "a").rglob("*") if path.is_file()}
        assert found == set(schema.shipped())
        assert main(["schema", "export", "--json", str(tmp_path)]) == Exit.OK
        assert set(json.loads(capsys.readouterr().out)["written"]) == found
        (tmp_path / "file").write_text("")
        assert main(["schema", "export", str(tmp_path / "file")]) == Exit.USAGE

    def test_what_is_written_is_found_in_order(self, tmp_path: Path, capsys: Any) -> None:
        folder = tmp_path / "new" / "schemas"
        assert main(["schema", "write", str(folder)]) == Exit.OK
        assert capsys.readouterr().out.count("wrote") == len(KINDS) + 3
        assert main(["schema", "check", str(folder)]) == Exit.OK
        capsys.readouterr()
        assert main(["schema", "write", str(folder), "--json"]) == Exit.OK
        assert json.loads(capsys.readouterr().out) == {"valid": True, "drift": [], "written": []}

    def test_drift_is_shown_as_a_diff_and_mended_by_writing(self, tmp_path: Path, capsys: Any) -> None:
        main(["schema", "write", str(tmp_path)])
        path = tmp_path / "v1" / "ack.schema.json"
        path.write_text(path.read_text().replace("256", "255"))
        capsys.readouterr()
        assert main(["schema", "check", str(tmp_path)]) == Exit.INVALID
        shown = capsys.readouterr()
        assert '-      "maxLength": 255' in shown.out
        assert "schema write" in shown.err
        assert main(["schema", "check", str(tmp_path), "--json"]) == Exit.INVALID
        assert [item["path"] for item in json.loads(capsys.readouterr().out)["drift"]] == ["v1/ack.schema.json"]
        assert main(["schema", "write", str(tmp_path)]) == Exit.OK

    def test_other_files_of_the_folder_are_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "README.md").write_text("Words.\n")
        assert main(["schema", "write", str(tmp_path)]) == Exit.OK
        assert (tmp_path / "README.md").read_text() == "Words.\n"
        assert main(["schema", "check", str(tmp_path)]) == Exit.OK

    def test_a_release_pins_and_writing_again_keeps_the_pins(self, tmp_path: Path) -> None:
        assert main(["schema", "write", str(tmp_path), "--release", "1.0.0"]) == Exit.OK
        assert (tmp_path / "released" / "1.0.0" / "allye.proto").is_file()
        assert main(["schema", "write", str(tmp_path)]) == Exit.OK
        assert list(json.loads((tmp_path / PINS).read_text())["released"]) == ["1.0.0"]
        assert main(["schema", "write", str(tmp_path), "--release", "1.0.0"]) == Exit.USAGE
        assert main(["schema", "write", str(tmp_path), "--release", "one"]) == Exit.USAGE

    def test_a_released_file_that_changed_fails_the_check(self, tmp_path: Path, capsys: Any) -> None:
        main(["schema", "write", str(tmp_path), "--release", "1.0.0"])
        path = tmp_path / "released" / "1.0.0" / "v1" / "ack.schema.json"
        path.write_text(path.read_text().replace("256", "255"))
        capsys.readouterr()
        assert main(["schema", "check", str(tmp_path)]) == Exit.INVALID
        assert "released/1.0.0/v1/ack.schema.json: was released and has changed" in capsys.readouterr().err

    def test_a_folder_or_pins_that_cannot_be_read_are_a_usage_error(self, tmp_path: Path, capsys: Any) -> None:
        assert main(["schema", "check", str(tmp_path / "missing")]) == Exit.USAGE
        (tmp_path / PINS).write_text("[]")
        assert main(["schema", "check", str(tmp_path)]) == Exit.USAGE
        assert main(["schema", "write", str(tmp_path)]) == Exit.USAGE
        (tmp_path / PINS).write_bytes(b"\xff")
        assert main(["schema", "check", str(tmp_path)]) == Exit.USAGE
        assert main(["schema", "export", str(tmp_path / PINS)]) == Exit.USAGE
        assert capsys.readouterr().out == ""

    def test_it_needs_no_jsonschema(self) -> None:
        block = "import sys; sys.modules['jsonschema'] = None; from allye_protocol.__main__ import main; sys.exit(main())"
        found = subprocess.run([sys.executable, "-c", block, "schema", "show", "ack"], capture_output=True, check=True)
        assert json.loads(found.stdout) == schema.load(Kind.ACK)


class TestDiff:
    @pytest.fixture
    def folders(self, tmp_path: Path) -> tuple[Path, Path]:
        """Two folders with the contracts of now."""
        for name in ("old", "new"):
            main(["schema", "export", str(tmp_path / name)])
        return tmp_path / "old", tmp_path / "new"

    def change(self, folder: Path, path: str, pointer: str, value: Any) -> None:
        document = json.loads((folder / path).read_text())
        *way, last = pointer.split("/")[1:]
        node = document
        for step in way:
            node = node[step]
        if value is None:
            del node[last]
        else:
            node[last] = value
        (folder / path).write_text(json.dumps(document))

    def test_no_change_is_status_0(self, folders: tuple[Path, Path], capsys: Any) -> None:
        capsys.readouterr()
        assert main(["schema", "diff", *map(str, folders)]) == Exit.OK
        assert capsys.readouterr().out == "0 breaking, 0 additive, 0 editorial\n"

    def test_additive_changes_are_status_0_and_breaking_ones_1(self, folders: tuple[Path, Path], capsys: Any) -> None:
        old, new = folders
        self.change(new, "v2/ack.schema.json", "/properties/mood", {"type": "string"})
        self.change(new, "v2/ack.schema.json", "/title", "Another title")
        capsys.readouterr()
        assert main(["schema", "diff", str(old), str(new)]) == Exit.OK
        assert capsys.readouterr().out.splitlines() == [
            "editorial  v2/ack.schema.json: /title: the words for people changed",
            "additive   v2/ack.schema.json: /properties/mood: a new optional member: old readers ignore it",
            "0 breaking, 1 additive, 1 editorial",
        ]
        assert main(["schema", "diff", str(new), str(old)]) == Exit.INVALID
        assert "breaking   v2/ack.schema.json: /properties/mood: the member is gone" in capsys.readouterr().out

    def test_a_file_that_is_gone_breaks(self, folders: tuple[Path, Path], capsys: Any) -> None:
        old, new = folders
        (new / "v1" / "ack.schema.json").unlink()
        (old / "allye.proto").write_text((old / "allye.proto").read_text().replace("sequence = 5", "order = 5"))
        capsys.readouterr()
        assert main(["schema", "diff", "--json", str(old), str(new)]) == Exit.INVALID
        document = json.loads(capsys.readouterr().out)
        assert document["compatible"] is False
        assert document["breaking"] == len(document["changes"])
        assert {"file": "v1/ack.schema.json", "path": "", "impact": "breaking", "message": "is gone"} in document["changes"]
        assert {change["file"] for change in document["changes"]} == {"v1/ack.schema.json", "allye.proto"}

    @pytest.mark.parametrize("path", ["v2/ack.schema.json", "allye.proto"])
    def test_single_files_are_compared_whatever_they_are_called(
        self, path: str, folders: tuple[Path, Path], tmp_path: Path, capsys: Any
    ) -> None:
        other = tmp_path / f"other.{path.rsplit('.', 1)[1]}"
        other.write_text((folders[1] / path).read_text().replace("power", "might").replace("sequence = 5", "sequence = 55"))
        capsys.readouterr()
        main(["schema", "diff", str(folders[0] / path), str(other), "--json"])
        assert json.loads(capsys.readouterr().out)["changes"]

    def test_released_copies_are_not_part_of_a_folder(self, folders: tuple[Path, Path], capsys: Any) -> None:
        old, new = folders
        main(["schema", "write", str(new), "--release", "1.0.0"])
        capsys.readouterr()
        assert main(["schema", "diff", str(old), str(new)]) == Exit.OK
        assert main(["schema", "diff", str(new / "released" / "1.0.0"), str(new)]) == Exit.OK
        assert capsys.readouterr().out == "0 breaking, 0 additive, 0 editorial\n" * 2

    def test_what_cannot_be_compared_is_a_usage_error(self, folders: tuple[Path, Path], tmp_path: Path, capsys: Any) -> None:
        old, _ = folders
        (tmp_path / "empty").mkdir()
        (tmp_path / "text.md").write_text("")
        (tmp_path / "bad.json").write_text("{")
        capsys.readouterr()
        for pair in (
            (old, old / "allye.proto"),
            (old, tmp_path / "empty"),
            (old, tmp_path / "missing"),
            (tmp_path / "text.md", tmp_path / "text.md"),
            (tmp_path / "bad.json", tmp_path / "bad.json"),
        ):
            assert main(["schema", "diff", *map(str, pair)]) == Exit.USAGE
        shown = capsys.readouterr()
        assert shown.out == ""
        assert f"cannot compare {tmp_path / 'missing'}: it is not there" in shown.err
