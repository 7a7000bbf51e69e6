import re
import sys
import tomllib
from pathlib import Path

import pytest

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example driver, installed as the module that the README calls it."""
    source = next(block for block in BLOCKS if block.startswith('"""acme_battery.py'))
    (tmp_path / "acme_battery.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "acme_battery", raising=False)


@pytest.mark.usefixtures("acme")
@pytest.mark.parametrize("block", BLOCKS, ids=[f"example-{number}" for number, _ in enumerate(BLOCKS, 1)])
def test_every_example_runs(block: str) -> None:
    exec(compile(block, "README.md", "exec"), {"__name__": "readme"})


def test_the_example_of_an_entry_point_is_what_the_simulator_itself_does() -> None:
    example = tomllib.loads(re.findall(r"```toml\n(.*?)```", README, re.DOTALL)[0])
    own = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))
    assert list(example["project"]["entry-points"]) == list(own["project"]["entry-points"])
