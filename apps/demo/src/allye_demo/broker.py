"""A real MQTT broker for as long as it is needed: a child process, on a free port of the loopback address.

mosquitto when it is on the PATH, else rumqttd, which comes as a Python package (``iotcore``). Each has its own temporary
directory, speaks MQTT 5 to everyone on this machine without a password, and is reachable from no other.

rumqttd is enough for a demo, and less than mosquitto: it has no MQTT 3.1.1 on the same port, tells no packet limit and ends the
connection of a client that exceeds it, and ignores receive-maximum and session expiry.
"""

from __future__ import annotations

import atexit
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Broker", "BrokerError", "BrokerKind", "available_kinds", "embedded_broker"]

HOST: Final = "127.0.0.1"
_START_S: Final = 10.0
_STOP_S: Final = 5.0
_POLL_S: Final = 0.01
_PORT_ATTEMPTS: Final = 3
_DEFAULT_MAX_PACKET_BYTES: Final = 131_072


class BrokerKind(StrEnum):
    """The brokers that can be started here."""

    MOSQUITTO = "mosquitto"
    RUMQTTD = "rumqttd"


class BrokerError(RuntimeError):
    """A broker that cannot be started; the message has the end of its log."""


class Broker:
    """A broker in a child process.

    :param kind: which one.
    :param directory: where its configuration, its log and, if it has one, its database go.
    :param port: the TCP port to listen on.
    :param max_packet_bytes: the largest packet that it takes, bytes.
    :param persistence: keep sessions and retained messages over :meth:`stop` and :meth:`start` (mosquitto only).
    :param settings: further lines of mosquitto's configuration.
    :raises ValueError: for what rumqttd cannot do.
    """

    def __init__(
        self,
        kind: BrokerKind,
        directory: Path,
        port: int,
        *,
        max_packet_bytes: int = _DEFAULT_MAX_PACKET_BYTES,
        persistence: bool = False,
        settings: Sequence[str] = (),
    ) -> None:
        if kind is BrokerKind.RUMQTTD and (persistence or settings):
            raise ValueError("rumqttd keeps nothing on disk and takes no mosquitto settings")
        self.kind: Final = kind
        self.host: Final = HOST
        self.port: Final = port
        self._log = directory / "broker.log"
        self._config = directory / "broker.toml"
        text = _mosquitto_config(directory, port, max_packet_bytes, persistence=persistence, settings=settings)
        if kind is BrokerKind.RUMQTTD:
            text = _rumqttd_config(port, max_packet_bytes)
        self._config.write_text(text)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """The process, for tests that freeze it."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Start it and wait until it accepts connections; again after :meth:`stop` or :meth:`kill`, on the same port.

        :raises BrokerError: when it ends, or is not reachable in time.
        """
        if self.running:
            return
        with self._log.open("ab") as log:
            command = _command(self.kind, self._config)
            self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)  # noqa: S603 our own
        atexit.register(self.kill)
        deadline_s = time.monotonic() + _START_S
        while self.running and time.monotonic() < deadline_s:
            with suppress(OSError), socket.create_connection((self.host, self.port), timeout=1):
                return
            time.sleep(_POLL_S)
        self.kill()
        tail = self._log.read_text(errors="replace")[-1_000:]
        raise BrokerError(f"{self.kind} did not start on {self.host}:{self.port}:\n{tail}")

    def stop(self) -> None:
        """End it as an operator would: mosquitto saves its database."""
        self._end(gently=True)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(gently=False)

    def _end(self, *, gently: bool) -> None:
        process, self._process = self._process, None
        atexit.unregister(self.kill)
        if process is None:
            return
        if gently:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_S)
        process.kill()
        process.wait()


@contextmanager
def embedded_broker(
    prefer: BrokerKind | None = None,
    *,
    max_packet_bytes: int = _DEFAULT_MAX_PACKET_BYTES,
    persistence: bool = False,
    settings: Sequence[str] = (),
) -> Iterator[Broker]:
    """Run a broker.

    :param prefer: which one; ``None``: mosquitto if it is there, else rumqttd.
    :param max_packet_bytes: the largest packet that it takes, bytes.
    :param persistence: keep sessions and retained messages on disk for the next start (mosquitto only).
    :param settings: further lines of mosquitto's configuration.
    :raises BrokerError: when it is not installed or does not start.
    """
    kind = prefer or available_kinds()[0]
    if kind not in available_kinds():
        raise BrokerError(f"{kind} is not on the PATH: install it, or leave the choice to this program")
    with tempfile.TemporaryDirectory(prefix="allye-broker-", ignore_cleanup_errors=True) as directory:
        broker = _started(kind, Path(directory), max_packet_bytes, persistence=persistence, settings=settings)
        try:
            yield broker
        finally:
            broker.stop()


def available_kinds() -> list[BrokerKind]:
    """The brokers of this machine, the preferred one first."""
    return [BrokerKind.MOSQUITTO, BrokerKind.RUMQTTD] if _mosquitto() else [BrokerKind.RUMQTTD]


def _started(kind: BrokerKind, directory: Path, max_packet_bytes: int, *, persistence: bool, settings: Sequence[str]) -> Broker:
    """A running broker; a port that someone else took in the meantime is given up for another."""
    attempts_left = _PORT_ATTEMPTS
    while True:
        broker = Broker(
            kind, directory, _free_port(), max_packet_bytes=max_packet_bytes, persistence=persistence, settings=settings
        )
        attempts_left -= 1
        try:
            broker.start()
        except BrokerError:
            if not attempts_left:
                raise
        else:
            return broker


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _mosquitto() -> str | None:
    # Debian puts it where only root's PATH looks.
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin")


def _command(kind: BrokerKind, config: Path) -> list[str]:
    if kind is BrokerKind.MOSQUITTO:
        return [_mosquitto() or "mosquitto", "-c", str(config)]
    # -P keeps a directory called iotcore in the working directory from being taken for the package.
    return [sys.executable, "-P", "-m", "iotcore", "--log-level", "CRITICAL", "--config", str(config)]


def _mosquitto_config(directory: Path, port: int, max_packet_bytes: int, *, persistence: bool, settings: Sequence[str]) -> str:
    lines = [
        f"listener {port} {HOST}",
        "allow_anonymous true",
        f"max_packet_size {max_packet_bytes}",
        # Its defaults drop messages in silence (20 in flight, 1,000 queued).
        "max_inflight_messages 0",
        "max_queued_messages 0",
        "set_tcp_nodelay true",
        *settings,
    ]
    if persistence:
        lines += ["persistence true", f"persistence_location {directory}/"]
    # Started by root it would become another user, who cannot read the directory.
    return "\n".join([*lines, "user root", ""])


def _rumqttd_config(port: int, max_packet_bytes: int) -> str:
    return f"""id = 0

[router]
id = 0
max_connections = 10010
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10

[v5.1]
name = "v5"
listen = "{HOST}:{port}"
next_connection_delay_ms = 1

[v5.1.connections]
connection_timeout_ms = 60000
max_payload_size = {max_packet_bytes}
max_inflight_count = 100
dynamic_filters = true
"""
