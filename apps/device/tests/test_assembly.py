"""From a configuration to the parts of a device."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from allye_device.assembly import clock_of, transport_of
from allye_device.config import BrokerConfig, ClockConfig, ConfigError, TlsConfig
from allye_protocol.clock import ScaledClock, SystemClock


def test_the_clock_is_the_machines_unless_time_is_played():
    assert isinstance(clock_of(ClockConfig()), SystemClock)
    origin = datetime(2018, 10, 28, tzinfo=UTC)
    played = clock_of(ClockConfig(kind="scaled", origin=origin, started=0.0, speed=1.0))
    assert isinstance(played, ScaledClock)
    assert played.now(origin) == origin


def test_the_mqtt_session_is_the_devices_own():
    assert "client_id='max300-1'" in repr(transport_of("max300-1", BrokerConfig(host="broker.example"))._options)


def test_an_encrypted_connection_is_verified():
    options = transport_of("max300-1", BrokerConfig(host="broker.example", tls=TlsConfig()))._options
    assert options.tls is not None
    assert options.tls.check_hostname


@pytest.mark.parametrize("tls", [TlsConfig(cafile="nowhere.pem"), TlsConfig(keyfile="key.pem")])
def test_a_certificate_that_cannot_be_used_is_a_configuration_error(tls):
    with pytest.raises(ConfigError, match=r"broker\.tls"):
        transport_of("max300-1", BrokerConfig(host="broker.example", tls=tls))
