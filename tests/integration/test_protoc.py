"""The compiler and codec of Protobuf itself, on the published file: what it makes of our bytes, and we of its."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from allye_protocol.codec import PROTOBUF, decode, encode
from allye_protocol.codec.protobuf.runtime import FILE_NAME, file_descriptor
from allye_protocol.messages.registry import KINDS, Kind
from allye_protocol.schema import proto
from tests.codec.protobuf_bodies import MEANT

if TYPE_CHECKING:
    from pathlib import Path

TEXTS: dict[Kind, str] = {
    Kind.SCHEDULE: """\
version: 2
schedule_id: "plan-2018-07-01-a"
device_id: "max300-0001"
traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
sequence: 1530381600000001
generated_at_us: 1530381600000001
start_us: 1530403200000000
rates_w: 75000
rates_w: 0
rates_w: 0
rates_w: -120500
no_setpoint_slots: 2
resolution_s: 900
expires_at_us: 1530424800000000
soc_min_pct: 20
soc_max_pct: 90.5
ramp_w_per_s: 1000
start_jitter_s: 120
dry_run: true
metadata {
  key: "mood"
  value: "gr\\303\\274n"
}
metadata {
  key: "tariff"
  value: "agile"
}
""",
    Kind.CANCEL: """\
version: 2
schedule_id: "plan-2018-07-01-a"
device_id: "max300-0001"
traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
sequence: 1530381600000002
effective_from_us: 1530403200000000
reason: "grid outage announced"
""",
    Kind.ACK: """\
version: 2
schedule_id: "plan-2018-07-01-a"
device_id: "max300-0001"
traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
sequence: 1530381600000001
status: ACK_STATUS_FAILED
timestamp_us: 1530381602000001
digest: "0a4d55a8d778e5022fab701977c5d840bbc486d0f6c0d9a9b2e1c7f8a3b4c5d6"
received_at_us: 1530381601000001
error {
  code: "limit.power"
  message: "beyond the limit"
  path: "/rates_w/7"
  slot: 7
  value: 180000
  limit: 150000
}
retryable: false
retry_after_s: 60
supported_versions: 1
supported_versions: 2
superseded: "plan-1"
superseded: "plan-2"
clock {
  synced: true
  offset_ms: -12.5
}
""",
    Kind.EXECUTION_RESULT: """\
version: 2
schedule_id: "plan-2018-07-01-a"
device_id: "max300-0001"
traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
status: EXECUTION_STATUS_SUCCEED
timestamp_us: 1530405000500000
slot_start_us: 1530403200000000
slot_end_us: 1530405000000000
outcome: OUTCOME_LIMITED
scheduled_w: 75000
actual_w: -12
energy_charged_wh: 0
energy_discharged_wh: 6
coverage_pct: 100
soc_start_pct: 40
soc_end_pct: 39.5
limiting: "exec.limited_soc"
error {
  code: "exec.limited_soc"
}
""",
    Kind.SCHEDULE_EVENT: """\
version: 2
schedule_id: "plan-2018-07-01-a"
device_id: "max300-0001"
traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
sequence: 1530381600000001
event: EVENT_TYPE_CANCELLED
timestamp_us: 1530403200000000
slot_start_us: 1530403200000000
error {
  code: "order.stale"
  digest: "0a4d55a8d778e5022fab701977c5d840bbc486d0f6c0d9a9b2e1c7f8a3b4c5d6"
}
""",
    Kind.DEVICE_STATUS: """\
version: 2
schedule_id: "plan-2018-07-01-a"
device_id: "max300-0001"
online: true
timestamp_us: 1530403200000000
power_w: -74600
soc_pct: 52
state: BATTERY_STATE_DISCHARGING
clock {
  synced: false
}
""",
}
"""The messages of the hand-made bodies in Protobuf's own text format."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the published file alone."""
    made = tmp_path_factory.mktemp("protoc")
    (made / FILE_NAME).write_text(proto.text(), encoding="utf-8")
    return made


def protoc(folder: Path, *options: str, given: bytes = b"") -> bytes:
    """Run the compiler; whatever it says besides its output is a failure."""
    command = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={folder}", *options, FILE_NAME]
    done = subprocess.run(command, input=given, capture_output=True, cwd=folder, timeout=60, check=False)
    assert (done.returncode, done.stderr.decode()) == (0, "")
    return done.stdout


def name_of(kind: Kind) -> str:
    return f"allye.v2.{KINDS[kind, 2].struct.__name__}"


def test_protoc_reads_the_file_as_the_classes_are_built(folder: Path) -> None:
    protoc(folder, "--descriptor_set_out=descriptors")
    (read,) = FileDescriptorSet.FromString((folder / "descriptors").read_bytes()).file
    for message in read.message_type:
        for field in (*message.field, *(field for nested in message.nested_type for field in nested.field)):
            field.ClearField("json_name")  # which protoc adds, and which is not used here
    assert read == file_descriptor()


@pytest.mark.parametrize("kind", TEXTS)
def test_protoc_reads_what_this_library_writes(folder: Path, kind: Kind) -> None:
    assert protoc(folder, f"--decode={name_of(kind)}", given=encode(MEANT[kind], PROTOBUF)).decode() == TEXTS[kind]


@pytest.mark.parametrize("kind", TEXTS)
def test_this_library_reads_what_protoc_writes(folder: Path, kind: Kind) -> None:
    written = protoc(folder, f"--encode={name_of(kind)}", given=TEXTS[kind].encode())
    assert decode(written, kind, PROTOBUF) == MEANT[kind]


def test_every_kind_is_shown() -> None:
    assert set(TEXTS) == {kind for kind, version in KINDS if version == 2}


def test_code_generated_from_the_published_file_stands_beside_the_library(folder: Path) -> None:
    """In one process: an application's own generated classes, and this library's messages."""
    protoc(folder, "--python_out=.")
    payload = encode(MEANT[Kind.SCHEDULE], PROTOBUF)
    script = f"""
import sys
sys.path[:] = {[str(folder), *sys.path]!r}
from allye_protocol.codec import decode
decode({payload!r}, "schedule", {PROTOBUF!r})
import allye_pb2
theirs = allye_pb2.Schedule.FromString({payload!r})
assert list(theirs.rates_w) == [75000, 0, 0, -120500]
assert theirs.HasField("dry_run") and not allye_pb2.Schedule().HasField("dry_run")
assert theirs.SerializeToString(deterministic=True) == {payload!r}
"""
    subprocess.run([sys.executable, "-I", "-S", "-c", script], check=True, timeout=60)
