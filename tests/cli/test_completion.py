"""``completion``: what a shell offers is what the grammar takes."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import pytest

from allye_protocol.cli.completion import script
from allye_protocol.cli.main import main, parser
from allye_protocol.cli.streams import Exit
from allye_protocol.messages import Kind

BASH = shutil.which("bash")


def offered(line: str) -> list[str]:
    """What bash offers at the end of a command line."""
    words = line.split(" ")
    quoted = " ".join(f"'{word}'" for word in words)
    program = f"{script(parser(), 'bash')}\nCOMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _allye_protocol\n"
    program += 'printf "%s\\n" "${COMPREPLY[@]}"'
    found = subprocess.run([BASH or "bash", "-c", program], capture_output=True, text=True, check=True, timeout=30)
    assert found.stderr == ""
    return found.stdout.split()


@pytest.mark.skipif(BASH is None, reason="not installed: bash")
class TestBash:
    def test_commands_are_offered_by_level(self) -> None:
        assert {"validate", "convert", "schema", "topic", "--help"} <= set(offered("allye-protocol "))
        assert offered("allye-protocol to") == ["topic"]
        assert {"build", "parse", "match", "filters"} <= set(offered("allye-protocol topic "))

    def test_options_are_offered_with_their_values(self) -> None:
        assert offered("allye-protocol decode --k") == ["--kind"]
        assert offered("allye-protocol decode --kind ") == list(Kind)
        assert offered("allye-protocol encode --kind ack --content-type application/vnd") == ["application/vnd.msgpack"]
        assert offered("allye-protocol convert --to ") == ["1", "2"]
        assert offered("allye-protocol schema show ac") == ["ack"]

    def test_what_is_not_known_is_left_to_files(self) -> None:
        assert offered("allye-protocol decode --kind ack ./pay") == []


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_command_prints_the_script(shell: str, capsys: Any) -> None:
    assert main(["completion", shell]) == Exit.OK
    shown = capsys.readouterr().out
    assert shown == script(parser(), shell) + "\n"
    assert ("bashcompinit" in shown) is (shell == "zsh")
    assert shown.isascii()
    assert main(["completion", shell, "--json"]) == Exit.OK
    assert json.loads(capsys.readouterr().out) == {"shell": shell, "script": script(parser(), shell)}
