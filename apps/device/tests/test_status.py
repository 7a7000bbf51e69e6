"""The status: what another process reads from the store, without touching it."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta

import msgspec
import pytest

from allye_device.config import ProtocolConfig, StoreConfig
from allye_device.status import Status, as_text, status_of
from allye_protocol.errors import ErrorCode, StoreError
from allye_protocol.messages.v2 import sequence_at
from allye_protocol.negotiation import Agreement
from allye_protocol.store.sqlite import SqliteStore


@pytest.fixture
def played(stage, schedule, tmp_path, make_config):
    """A device that has executed one slot, runs a second and has a third before it, and its broker is away."""
    path = tmp_path / "device.db"
    stage.config = make_config(store=StoreConfig(path=str(path)))
    stage.store = SqliteStore(path)
    stage.at(-5, lambda: stage.cloud.send(schedule(50, -20, 10)))
    stage.at(-4, lambda: stage.cloud.send_bytes(b"\x1b[2J"))
    stage.at(1, lambda: stage.broker.drop("max300-1", refuse=True))
    stage.play(until=40)
    yield stage
    stage.store.close()


def test_it_tells_plan_results_outbox_and_refused_messages(played, noon):
    status = status_of(played.config, noon + timedelta(minutes=40))
    assert [(slot.state, slot.rate_w, slot.actual_w) for slot in status.slots] == [
        ("reported", 50_000, None),
        ("running", -20_000, -20_000),
        ("planned", 10_000, None),
    ]
    assert (status.outbox, status.unsettled, status.newest) == (1, [], noon - timedelta(minutes=10))
    assert status.spoken == "version 2 in application/json"
    assert [(row.size_bytes, row.head) for row in status.rejected] == [(4, "1b5b324a")]
    assert msgspec.json.decode(msgspec.json.encode(status), type=Status) == status


def test_its_text_is_a_table_without_control_characters(played, noon):
    text = as_text(status_of(played.config, noon + timedelta(minutes=40)))
    assert "2026-03-01 12:00       50000             reported plan-a\n" in text
    assert "2026-03-01 12:30      -20000     -20000  running  plan-a\n" in text
    assert "the cloud is answered in: version 2 in application/json" in text
    assert all(char.isprintable() or char == "\n" for char in text)


def test_it_reads_while_the_agent_writes_and_changes_nothing(played, noon, tmp_path):
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.suffix == ".db"}
    with played.store.transaction():
        played.store.raise_high_water(sequence_at(noon))
        assert status_of(played.config, noon).newest == noon - timedelta(minutes=10)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.suffix == ".db"} == before


def test_it_tells_what_a_schedule_limits_and_where_it_has_no_setpoint(stage, schedule, noon, tmp_path, make_config):
    path = tmp_path / "device.db"
    stage.config = make_config(store=StoreConfig(path=str(path)))
    stage.store = SqliteStore(path)
    limited = schedule(50, None, soc_min_pct=20.5, soc_max_pct=80.0, ramp_w_per_s=500)
    stage.at(-5, lambda: stage.cloud.send(limited))
    stage.play(until=-1)
    stage.store.close()
    status = status_of(stage.config, noon - timedelta(minutes=1))
    assert [(slot.rate_w, slot.soc_min_pct, slot.soc_max_pct, slot.ramp_w_per_s) for slot in status.slots] == [
        (50_000, 20.5, 80.0, 500),
        (None, 20.5, 80.0, 500),
    ]
    assert status.slots[0].trace_id == "4bf92f3577b34da6a3ce929d0e0e4736"
    rows = as_text(status).split("\n")
    assert rows[-2].endswith("      50000             planned  plan-a (from 20.5 %, to 80 %, at most 500 W/s)")
    assert "    default             planned  plan-a" in rows[-1]


def test_no_store_is_an_error_and_is_not_made(make_config, noon, tmp_path):
    path = tmp_path / "nothing.db"
    with pytest.raises(StoreError) as caught:
        status_of(make_config(store=StoreConfig(path=str(path))), noon)
    assert caught.value.code is ErrorCode.STORE_FAILED
    assert not path.exists()


def test_a_device_without_a_plan_says_so(make_config, noon, tmp_path):
    path = tmp_path / "device.db"
    SqliteStore(path).close()
    assert "no plan: 0 W" in as_text(status_of(make_config(store=StoreConfig(path=str(path))), noon))


@pytest.mark.parametrize(("versions", "answered"), [((1, 2), 1), ((1,), 1), ((2,), 2)])
def test_a_cloud_that_was_not_heard_yet_is_answered_in_the_lowest_version(make_config, noon, tmp_path, versions, answered):
    """So is one that keeps to it: what was agreed from the start is not stored."""
    path = tmp_path / "device.db"
    SqliteStore(path).close()
    config = make_config(store=StoreConfig(path=str(path)), protocol=ProtocolConfig(versions=versions))
    assert status_of(config, noon).spoken == f"version {answered} in application/json"
    with closing(SqliteStore(path)) as store:
        store.put_agreement(Agreement(version=3 - answered, content_type="application/json"))
    spoken = 3 - answered if len(versions) > 1 else answered  # firmware that went back does not speak what it spoke
    assert status_of(config, noon).spoken == f"version {spoken} in application/json"
