"""The code of the README and of the documentation runs, and prints what the README says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.py"))
README = (ROOT / "README.md").read_text(encoding="utf-8")


def output_of(code: str) -> str:
    outcome = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert outcome.returncode == 0, outcome.stderr
    return outcome.stdout


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_of_the_documentation_runs(example: Path) -> None:
    assert output_of(example.read_text(encoding="utf-8"))


def test_the_loop_over_a_transport_answers_and_reports_every_slot() -> None:
    told = output_of((ROOT / "docs/examples/loop.py").read_text(encoding="utf-8")).split("\n")
    assert [line.rstrip() for line in told if line] == [
        "ack RECEIVED",
        "ack APPLIED",
        "execution_result SUCCEED +50000 W",
        "execution_result SUCCEED -40000 W",
    ]


def test_the_readme_example_prints_what_the_readme_says() -> None:
    code, promised = re.search(r"```python\n(.*?)```\s+It prints:\s+```text\n(.*?)```", README, re.DOTALL).groups()
    assert output_of(code) == promised


def test_every_path_in_the_map_of_the_readme_is_there() -> None:
    table = re.search(r"## Map\n(.*?)\n## ", README, re.DOTALL).group(1)
    paths = re.findall(r"^\| `([^`]+)`", table, re.MULTILINE)
    assert len(paths) > 8
    assert [path for path in paths if not (ROOT / path).exists()] == []
