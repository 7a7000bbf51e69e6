"""The distribution as others get it: what is in the wheel, from the sdist too, and what works without extras."""

import json
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def build(target: str, source: Path, into: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(into)]
    subprocess.run(command, cwd=source, check=True, capture_output=True, timeout=120)
    (made,) = (path for path in into.iterdir() if path.suffix in {".whl", ".gz"})
    return made


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


def names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return sorted(archive.namelist())


def test_the_wheel_ships_types_and_schemas(wheel: Path) -> None:
    shipped = set(names(wheel))
    schemas = {
        f"allye_protocol/schemas/{path.relative_to(ROOT / 'schemas').as_posix()}"
        for path in (ROOT / "schemas").rglob("*")
        if path.is_file()
    }
    assert len(schemas) >= 13
    assert {"allye_protocol/py.typed", *schemas} <= shipped


def test_the_wheel_ships_the_conformance_vectors(wheel: Path) -> None:
    vectors = {f"allye_protocol/vectors/{path.name}" for path in (ROOT / "tests" / "vectors").iterdir()}
    assert len(vectors) >= 14
    assert {name for name in names(wheel) if name.startswith("allye_protocol/vectors/")} == vectors


def test_a_wheel_built_from_the_sdist_is_the_same(wheel: Path, tmp_path: Path) -> None:
    sdist = build("sdist", ROOT, tmp_path)
    unpacked = tmp_path / "unpacked"
    with tarfile.open(sdist) as archive:
        # Older patch releases know no filters, newer ones want one.
        archive.extractall(unpacked, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    (source,) = unpacked.iterdir()
    into = tmp_path / "wheel"
    into.mkdir()
    assert names(build("wheel", source, into)) == names(wheel)


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that has the wheel and its one dependency, and no extra."""
    home = tmp_path_factory.mktemp("bare")
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", wheel], check=True, capture_output=True, timeout=300)
    return python


def run(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([python, "-I", *arguments], capture_output=True, text=True, check=False, timeout=60)


def test_the_core_needs_msgspec_alone(bare: Path) -> None:
    listed = run(bare, "-m", "pip", "list", "--format", "freeze").stdout.lower().split()
    assert sorted(line.partition("==")[0] for line in listed if not line.startswith(("pip==", "setuptools=="))) == [
        "allye-protocol",
        "msgspec",
    ]


@pytest.mark.parametrize(
    ("code", "command"),
    [
        ("import allye_protocol.transport.paho", 'pip install "allye-protocol[mqtt]"'),
        ("from allye_protocol import schema; schema.validator('schedule')", 'pip install "allye-protocol[schema]"'),
    ],
    ids=["mqtt", "schema"],
)
def test_a_missing_extra_is_named_with_its_pip_command(bare: Path, code: str, command: str) -> None:
    outcome = run(bare, "-c", code)
    assert outcome.returncode == 1
    assert command in outcome.stderr.splitlines()[-1]


def test_what_is_shipped_is_conformed_to_and_a_missing_encoding_is_not_claimed(bare: Path) -> None:
    outcome = run(bare, "-m", "allye_protocol", "vectors", "run", "--json")
    assert outcome.returncode == 0, outcome.stderr
    report = json.loads(outcome.stdout)
    counted = {tally["section"]: tally for tally in report["tallies"]}
    assert report["total"]["failed"] == 0
    assert counted["v2-protobuf"]["passed"] == 0
    assert counted["v2-msgpack"]["not_claimed"] == 0


def test_the_command_works_without_extras(bare: Path) -> None:
    outcome = subprocess.run(
        [bare.parent / "allye-protocol", "schema", "show", "schedule"], capture_output=True, text=True, check=False, timeout=60
    )
    assert outcome.returncode == 0, outcome.stderr
    assert '"$schema": "https://json-schema.org/draft/2020-12/schema"' in outcome.stdout
