"""The manual has every option and module, and its examples are command lines that are understood."""

import re
import shlex
from pathlib import Path

import pytest

from allye_demo.__main__ import _parser

HERE = Path(__file__).parents[1]
README = (HERE / "README.md").read_text(encoding="utf-8")


def test_it_has_every_option_and_no_other() -> None:
    said = set(re.findall(r"^\| `(--\w+)", README, re.MULTILINE))
    assert said == set(re.findall(r"--\w+", _parser().format_usage()))


@pytest.mark.parametrize("line", re.findall(r"^\$ allye-demo(.*)$", README, re.MULTILINE))
def test_its_examples_are_understood(line: str) -> None:
    _parser().parse_args(shlex.split(line.partition("|")[0]))


def test_it_names_every_module() -> None:
    modules = {path.stem for path in (HERE / "src/allye_demo").glob("*.py")} - {"__init__", "__main__"}
    assert modules <= set(re.findall(r"`(\w+)`", README))
