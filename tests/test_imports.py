"""Imports only go down, the core touches nothing of the world, and importing it loads nothing that it does not need."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import allye_protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(allye_protocol.__file__).parent
PACKAGE = "allye_protocol"

FLOORS = {
    "": 8,
    "__main__": 8,
    "cli": 8,
    "conformance": 8,
    "testing": 8,
    "clock": 7,
    "transport": 7,
    "session": 6,
    "events": 5,
    "signing": 5,
    "transport.base": 5,
    "admission": 4,
    "convert": 4,
    "delivery": 4,
    "execution": 4,
    "idempotency": 4,
    "negotiation": 4,
    "plan": 4,
    "store": 4,
    "codec": 3,
    "digest": 3,
    "schema": 3,
    "messages": 2,
    "topics": 2,
    "frame": 1,
    "matching": 1,
    "tracing": 1,
    "errors": 0,
    "extras": 0,
    "ids": 0,
}
"""The floor of every module; a package's is that of what is in it, unless that has its own."""

FIRST_FLOOR_OF_THE_WORLD = 7
WORLD = {
    "asyncio",
    "logging.config",
    "logging.handlers",
    "multiprocessing",
    "paho",
    "random",
    "secrets",
    "select",
    "selectors",
    "socket",
    "sqlite3",
    "ssl",
    "subprocess",
    "threading",
    "time",
    "uuid",
}
"""What a module below the floor of the world does not import."""
TOUCHES = {
    "open",
    "write_text",
    "write_bytes",
    "read_text",
    "read_bytes",
    "urandom",
    "now",
    "utcnow",
    "today",
    "time_ns",
    "sleep",
}
"""What it does not call, under whatever object."""
EXCEPTIONS = {
    ("store.sqlite", "sqlite3"): "the store of real devices is a file",
    ("schema.publish", "read_text"): "published schemas are files; beside the data path",
}

MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix("__init__").removesuffix("."): path
    for path in sorted(ROOT.rglob("*.py"))
}
"""Every module by its name below the package; the package itself is the empty name."""


def floor_of(module: str) -> int | None:
    """The floor of a module: its own, or that of the nearest package above it."""
    name = module
    while name and name not in FLOORS:
        name = name.rpartition(".")[0]
    return FLOORS.get(name) if name or not module else None


def imports_of(tree: ast.AST) -> Iterator[str]:
    """Every module that is imported anywhere in a file, for types too, by its full name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def inside(imported: str) -> str | None:
    """The module of this package that an import names, or ``None`` for another package's."""
    if imported != PACKAGE and not imported.startswith(f"{PACKAGE}."):
        return None
    name = imported.removeprefix(PACKAGE).removeprefix(".")
    return name if name in MODULES else name.rpartition(".")[0]


def upward(module: str, tree: ast.AST) -> list[str]:
    here = floor_of(module)
    targets = {target for imported in imports_of(tree) if (target := inside(imported)) is not None}
    return [f"{module} (floor {here}) imports {target or PACKAGE}" for target in targets if not _reaches(here, target)]


def _reaches(here: int | None, target: str) -> bool:
    there = floor_of(target)
    return here is not None and there is not None and there <= here


def of_the_world(module: str, tree: ast.AST) -> list[str]:
    floor = floor_of(module)
    if floor is None or floor >= FIRST_FLOOR_OF_THE_WORLD:
        return []
    found = {world for imported in imports_of(tree) for world in WORLD if imported == world or imported.startswith(f"{world}.")}
    found |= calls_in(tree) & TOUCHES
    return [f"{module} uses {what}" for what in sorted(found) if (module, what) not in EXCEPTIONS]


def calls_in(tree: ast.AST) -> set[str]:
    """The last names of everything that is called."""
    functions = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {func.id if isinstance(func, ast.Name) else getattr(func, "attr", "") for func in functions}


def parsed(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_a_floor(module: str) -> None:
    assert floor_of(module) is not None


@pytest.mark.parametrize("module", MODULES)
def test_imports_only_go_down(module: str) -> None:
    assert upward(module, parsed(module)) == []


@pytest.mark.parametrize("module", MODULES)
def test_below_the_floor_of_the_world_nothing_touches_it(module: str) -> None:
    assert of_the_world(module, parsed(module)) == []


def test_imports_make_no_circle() -> None:
    def at_runtime(module: str) -> set[str]:
        tree = parsed(module)
        tree.body = [node for node in tree.body if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test))]
        found = {inside(imported) for imported in imports_of(tree)}
        return {target for target in found if target is not None and target != module}

    order = list(TopologicalSorter({module: at_runtime(module) for module in MODULES}).static_order())
    assert set(order) == set(MODULES)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("ids", "from allye_protocol import topics"),
        ("ids", "import allye_protocol.codec.json"),
        ("codec.json", "if TYPE_CHECKING:\n    from allye_protocol.session import DeviceSession"),
        ("session.device", "def late():\n    from allye_protocol.transport.paho import PahoTransport"),
        ("session.device", "from allye_protocol import DeviceSession"),
        ("nowhere", "from allye_protocol.ids import device_id"),
    ],
)
def test_an_upward_import_is_found(module: str, source: str) -> None:
    assert len(upward(module, ast.parse(source))) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("ids", "from allye_protocol.errors import IdError"),
        ("transport.memory", "from allye_protocol.transport.base import Transport"),
        ("session.device", "from allye_protocol import topics"),
        ("ids", "from collections.abc import Iterator"),
    ],
)
def test_an_import_on_the_same_floor_or_below_is_allowed(module: str, source: str) -> None:
    assert upward(module, ast.parse(source)) == []


@pytest.mark.parametrize(
    "source",
    [
        "import time",
        "from time import monotonic",
        "import asyncio.events",
        "from logging.handlers import SocketHandler",
        "from logging import handlers",
        "import sqlite3",
        "datetime.now(UTC)",
        "open('x')",
        "Path('x').open()",
        "os.urandom(8)",
        "def f():\n    import random",
    ],
)
def test_a_touch_of_the_world_is_found(source: str) -> None:
    assert of_the_world("session.device", ast.parse(source)) != []
    assert of_the_world("transport.paho", ast.parse(source)) == []


def test_every_exception_is_needed() -> None:
    used = set()
    for module, what in EXCEPTIONS:
        tree = parsed(module)
        names = {
            getattr(node.func, "attr", getattr(node.func, "id", "")) for node in ast.walk(tree) if isinstance(node, ast.Call)
        }
        if what in names or what in set(imports_of(tree)):
            used.add((module, what))
    assert used == set(EXCEPTIONS)


HEAVY = ("paho", "jsonschema", "asyncio", "sqlite3", "logging.handlers", "socket", "ssl", "multiprocessing", "google.protobuf")


def loaded_by(statement: str) -> set[str]:
    script = f"import sys\n{statement}\nprint(*sorted(sys.modules))"
    # Isolated, so that neither this process's paths nor a start-up file adds anything; the path alone is handed over.
    command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:] = {sys.path!r}\n{script}"]
    return set(subprocess.run(command, capture_output=True, check=True, text=True, timeout=30).stdout.split())


def test_importing_the_package_loads_nothing_heavy() -> None:
    loaded = loaded_by("import allye_protocol")
    assert "allye_protocol.session.device" in loaded
    assert [name for name in HEAVY if name in loaded] == []


@pytest.mark.parametrize("module", ["allye_protocol.store", "allye_protocol.transport", "allye_protocol.topics"])
def test_nor_does_a_package_below_it(module: str) -> None:
    assert [name for name in HEAVY if name in loaded_by(f"import {module}")] == []


def test_what_is_heavy_is_loaded_by_who_asks_for_it() -> None:
    assert "sqlite3" in loaded_by("import allye_protocol.store.sqlite")
