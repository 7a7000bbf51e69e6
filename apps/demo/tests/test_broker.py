"""The embedded broker: found, reachable from this machine only, ended with its owner."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from allye_demo.broker import Broker, BrokerError, BrokerKind, available_kinds, embedded_broker

KINDS = pytest.mark.parametrize("kind", list(BrokerKind))


def needs(kind: BrokerKind) -> None:
    if kind not in available_kinds():
        pytest.skip(f"not installed: {kind}")


def reachable(broker: Broker, host: str | None = None) -> bool:
    try:
        with socket.create_connection((host or broker.host, broker.port), timeout=2):
            return True
    except OSError:
        return False


@KINDS
def test_a_broker_runs_as_long_as_it_is_needed(kind: BrokerKind) -> None:
    needs(kind)
    with embedded_broker(kind) as broker:
        assert broker.kind is kind
        assert broker.running
        assert reachable(broker)
    assert not broker.running
    assert not reachable(broker)


@KINDS
@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_broker_comes_back_on_the_same_port(kind: BrokerKind, end: str) -> None:
    needs(kind)
    with embedded_broker(kind) as broker:
        port = broker.port
        getattr(broker, end)()
        assert not broker.running
        assert not reachable(broker)
        broker.start()
        assert broker.port == port
        assert reachable(broker)


@KINDS
def test_a_broker_listens_on_the_loopback_address_only(kind: BrokerKind) -> None:
    needs(kind)
    with embedded_broker(kind) as broker:
        # Another address of the same interface stands for the others of the machine.
        assert not reachable(broker, "127.0.0.2")


def test_mosquitto_is_preferred_and_rumqttd_is_always_there() -> None:
    with embedded_broker() as broker:
        assert broker.kind is available_kinds()[0]
    assert available_kinds()[-1] is BrokerKind.RUMQTTD


def test_rumqttd_does_not_pretend_to_keep_anything() -> None:
    with pytest.raises(ValueError, match="rumqttd"), embedded_broker(BrokerKind.RUMQTTD, persistence=True):
        pass


def test_a_missing_mosquitto_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("allye_demo.broker._mosquitto", lambda: None)
    assert available_kinds() == [BrokerKind.RUMQTTD]
    with pytest.raises(BrokerError, match="PATH"), embedded_broker(BrokerKind.MOSQUITTO):
        pass


def test_a_broker_that_does_not_start_shows_its_log() -> None:
    needs(BrokerKind.MOSQUITTO)
    with pytest.raises(BrokerError, match="no_such_setting"), embedded_broker(settings=["no_such_setting true"]):
        pass


@KINDS
def test_a_broker_ends_with_a_program_that_forgot_it(kind: BrokerKind) -> None:
    needs(kind)
    program = f"""
from allye_demo.broker import BrokerKind, embedded_broker
context = embedded_broker(BrokerKind.{kind.name})
broker = context.__enter__()
print(broker.pid)
raise SystemExit(3)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    with pytest.raises(ProcessLookupError):
        os.kill(int(done.stdout), 0)
