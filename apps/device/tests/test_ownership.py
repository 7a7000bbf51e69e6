"""One agent to a store, and nobody in the way of the next one."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from allye_device.ownership import owned
from allye_protocol.errors import ErrorCode, StoreError

HOLDER = """
import sys
from pathlib import Path
from allye_device.ownership import owned
with owned(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def store(tmp_path):
    return tmp_path / "device.db"


@pytest.fixture
def holder(store):
    command = [sys.executable, "-c", HOLDER, str(store)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_agent_is_told_which_process_holds_which_file(store, holder):
    with pytest.raises(StoreError) as caught, owned(store):
        pass
    assert caught.value.code is ErrorCode.STORE_FAILED
    assert f"process {holder.pid} " in caught.value.message
    assert f"{store}.lock" in caught.value.message


def test_the_lock_of_a_killed_process_is_free(store, holder):
    holder.kill()
    holder.wait()
    with owned(store):
        assert (store.parent / "device.db.lock").read_text() == f"{os.getpid()}\n"


def test_an_agent_that_has_ended_leaves_the_store_to_the_next(store):
    for _ in range(2):
        with owned(store):
            pass


def test_a_folder_that_is_not_there_is_said(tmp_path):
    with pytest.raises(StoreError, match="No such file") as caught, owned(tmp_path / "nowhere" / "device.db"):
        pass
    assert caught.value.code is ErrorCode.STORE_FAILED
