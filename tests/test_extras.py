"""A missing extra says which command installs it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from allye_protocol.extras import require


def test_a_module_that_is_there_is_returned() -> None:
    assert require("json", "any") is json


def test_a_missing_module_names_the_pip_command() -> None:
    with pytest.raises(ImportError, match=r'pip install "allye-protocol\[mqtt\]"') as caught:
        require("no_such_package.part", "mqtt")
    assert caught.value.name == "no_such_package"


def test_a_fault_inside_a_module_that_is_there_keeps_its_own_message(tmp_path, monkeypatch) -> None:
    (tmp_path / "broken_package.py").write_text("import no_such_dependency\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_dependency"):
        require("broken_package", "mqtt")


def test_the_paho_transport_without_paho_names_the_pip_command() -> None:
    program = """
import sys
sys.modules["paho"] = None
try:
    import allye_protocol.transport.paho
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert 'pip install "allye-protocol[mqtt]"' in done.stdout
