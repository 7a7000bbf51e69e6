"""Everything that an agent needs, made from its configuration."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from allye_device.agent import Agent
from allye_device.config import ConfigError, store_file
from allye_device.ownership import owned
from allye_device.timekeeping import Timekeeper
from allye_device.trusted import verifier_of
from allye_max300 import open_driver
from allye_protocol.clock import ScaledClock, SystemClock
from allye_protocol.store.sqlite import SqliteStore
from allye_protocol.transport.options import MqttOptions, tls_context
from allye_protocol.transport.paho import PahoTransport

if TYPE_CHECKING:
    from collections.abc import Iterator

    from allye_device.config import AgentConfig, BrokerConfig, ClockConfig
    from allye_protocol.clock import Clock
    from allye_protocol.transport.base import Will

__all__ = ["assembled", "clock_of", "transport_of"]


@contextmanager
def assembled(config: AgentConfig, clock: Clock) -> Iterator[Agent]:
    """A device, ready to run: with the SQLite store, the driver and the broker that ``config`` names.

    :param clock: where time comes from, see :func:`clock_of`.
    :raises ConfigError: a configuration that does not fit this machine or battery.
    :raises DriverError: a battery that does not answer.
    :raises StoreError: a store that cannot be opened, or that is another agent's.
    """
    path, trust, verifier = store_file(config), config.trust, verifier_of(config)
    transport = transport_of(config.device_id, config.broker, lambda: agent.last_will)
    with ExitStack() as at_end:
        at_end.enter_context(owned(path))
        store = SqliteStore(path)
        at_end.callback(store.close)
        synchronised = Path(trust.file) if trust.time == "synchronised" else None
        time = Timekeeper(clock, synchronised=synchronised, memory=path.with_name(path.name + ".time"))
        driver = open_driver(config.driver.name, config.driver.options, time)
        at_end.callback(driver.close)
        agent = Agent(config, time, driver, transport, store, verifier=verifier)
        yield agent


def clock_of(config: ClockConfig) -> Clock:
    """The clock that is configured."""
    if config.origin is None or config.started is None or config.speed is None:
        return SystemClock()
    return ScaledClock(config.origin, config.started, config.speed)


def transport_of(device_id: str, config: BrokerConfig, will: Will = None) -> PahoTransport:
    """The way to the broker.

    :param device_id: also the name of the MQTT session, which the broker keeps while the device is away.
    :param will: what the broker says when the device is lost.
    :raises ConfigError: for certificates that cannot be used.
    """
    tls = None
    if config.tls is not None:
        try:
            tls = tls_context(cafile=config.tls.cafile, certfile=config.tls.certfile, keyfile=config.tls.keyfile)
        except (OSError, ValueError) as error:
            raise ConfigError(f"device {device_id}", "broker.tls", f"{error}; name readable PEM files") from error
    options = MqttOptions(
        host=config.host,
        port=config.port,
        client_id=device_id,
        protocol=config.protocol,
        username=config.username,
        password=config.password,
        keepalive_s=config.keepalive_s,
        tls=tls,
        will=will,
    )
    return PahoTransport(options)
