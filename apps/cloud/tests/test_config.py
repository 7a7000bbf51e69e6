"""Configuration: a file, variables above it, and nothing that is not known."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from allye_cloud.config import Config, ConfigError, load
from allye_cloud.prices import PriceUnit
from allye_protocol.clock import ScaledClock, SystemClock
from allye_protocol.codec.tolerant import Tolerance
from allye_protocol.delivery import RetryPolicy
from allye_protocol.messages import Kind
from allye_protocol.negotiation import Offer
from allye_protocol.session import CloudConfig
from allye_protocol.signing import new_private_pem

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FULL = """
[broker]
host = "broker.example"
port = 8883
protocol = "3.1.1"
client_id = "cloud-1"
username = "u"
password = "p"
receive_maximum = 100
max_inflight = 10
keepalive_s = 30
[store]
url = "postgresql://cloud@db/allye"
[fleet]
registry = "fleet/devices.json"
[topics]
root = "acme/gb"
group = "workers"
[prices]
path = "/data/prices.csv"
unit = "GBP/MWh"
zone = "UTC"
[retry]
base_s = 10
cap_s = 60.5
alarm_before_s = 0
[clock]
kind = "scaled"
origin = 2018-07-01T00:00:00Z
started = 1500000000.5
speed = 1.5
[log]
level = "debug"
"""


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Config]:
    def reader(text: str, **environment: str) -> Config:
        path = tmp_path / "cloud.toml"
        path.write_text(text)
        return load(path, {f"ALLYE_CLOUD_{name}": value for name, value in environment.items()})

    return reader


def test_nothing_given_is_the_default() -> None:
    assert load(None, {"HOME": "/"}) == Config()
    assert isinstance(Config().make_clock(), SystemClock)
    assert Config().session_config().retry == RetryPolicy()


def test_a_file_says_everything(read: Callable[..., Config], tmp_path: Path) -> None:
    config = read(FULL)
    assert (config.fleet.registry, config.prices.path) == (str(tmp_path / "fleet/devices.json"), "/data/prices.csv")
    assert config.prices.unit is PriceUnit.POUNDS_PER_MWH
    session = config.session_config()
    assert (session.root, session.group) == ("acme/gb", "workers")
    expected = RetryPolicy(base=timedelta(seconds=10), cap=timedelta(seconds=60.5), alarm_before=timedelta(0))
    assert session.retry == expected
    options = config.mqtt_options(suffix="-publish", session_expiry_s=300)
    assert (options.host, options.port, options.protocol, options.client_id) == (
        "broker.example",
        8883,
        "3.1.1",
        "cloud-1-publish",
    )
    assert (options.username, options.password, options.receive_maximum, options.max_inflight) == ("u", "p", 100, 10)
    assert (options.keepalive_s, options.session_expiry_s, options.tls) == (30, 300, None)
    clock = config.make_clock()
    assert isinstance(clock, ScaledClock)
    assert clock.now(not_after=datetime(2018, 7, 1, tzinfo=UTC)) == datetime(2018, 7, 1, tzinfo=UTC)


def test_a_variable_stands_above_the_file(read: Callable[..., Config]) -> None:
    config = read(FULL, BROKER__PORT="1884", BROKER__USERNAME="123", PRICES__PATH="mine.csv", CLOCK__SPEED="60")
    assert (config.broker.port, config.broker.username, config.broker.host) == (1884, "123", "broker.example")
    assert (config.prices.path, config.clock.speed) == ("mine.csv", 60.0)


def test_a_variable_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text('[store]\nurl = "sqlite:///x.db"')
    assert load(None, {"ALLYE_CLOUD_CONFIG": str(path)}).store.url == "sqlite:///x.db"


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ("[broker]\nhots = 'x'", "broker.hots", "is not known"),
        ("[brokre]\nhost = 'x'", "brokre", "is not known"),
        ("[broker]\nport = 0", "broker.port", ">= 1"),
        ("[broker]\nport = '1883'", "broker.port", "got `str`"),
        ("[broker]\nhost = ''", "broker.host", "length"),
        ("broker = 1", "broker", "must be a table"),
        ("[clock]\nkind = 'scaled'\nspeed = 2", "clock", "incomplete"),
        ("[clock]\nspeed = 2", "clock", "scaled"),
        ("[clock]\norigin = 2018-07-01T00:00:00", "clock.origin", "timezone"),
        ("[retry]\nbase_s = 0", "retry.base_s", "> 0"),
        ("[broker]\ncafile = 'ca.pem'", "broker.tls", "off"),
        ("[store]\nurl = 'mysql://db/x'", "store.url", "cannot be used"),
        ("[store]\nurl = 'sqlite://'", "store.url", "cannot be used"),
        ("[topics]\nroot = 'a/#'", "topics", "wildcard"),
        ("[topics]\ngroup = 'a/b'", "topics", "slash"),
        ("[prices]\nunit = 'EUR'", "prices.unit", "EUR"),
        ("[log]\nlevel = 'loud'", "log.level", "loud"),
        ("what", "", "not TOML"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(read: Callable[..., Config], text: str, key: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert caught.value.key == key
    assert words in caught.value.what
    assert "cloud.toml" in str(caught.value)
    assert caught.value.remedy in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("BROKR__HOST", "x", "brokr: is not known; known: broker, store, "),
        ("BROKER__HOTS", "x", "broker.hots: is not known; known: host, port, "),
        ("BROKER_HOST", "x", "broker_host: is not known; known: broker, "),
        ("BROKER__PORT", "many", "broker.port: Expected `int`"),
        ("BROKER", "x", "broker: must be a table; set ALLYE_CLOUD_BROKER__KEY"),
        ("CLOCK__KIND", "slow", "clock.kind: Invalid enum value 'slow'"),
        ("X", "", "x: is not known"),
    ],
)
def test_what_is_wrong_in_a_variable_is_named(read: Callable[..., Config], name: str, value: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read("", **{name: value})
    assert str(caught.value).startswith(f"ALLYE_CLOUD_{name}: {words}")


def test_a_played_day_that_began_too_long_ago_is_named(read: Callable[..., Config]) -> None:
    config = read(FULL, CLOCK__SPEED="1e6", CLOCK__STARTED="0")
    with pytest.raises(ConfigError, match=r"clock\.started"):
        config.make_clock()


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path / "none.toml", {})


def test_tls_files_that_cannot_be_used_are_named(read: Callable[..., Config], tmp_path: Path) -> None:
    config = read(f"[broker]\ntls = true\ncafile = '{tmp_path}/none.pem'")
    with pytest.raises(ConfigError, match="cafile") as caught:
        config.mqtt_options()
    assert caught.value.key == "broker.tls"
    assert read("[broker]\ntls = true").mqtt_options().tls is not None


def test_what_is_spoken_is_configured(read) -> None:
    config = read("[protocol]\nversions = [2]\ncontent_types = ['application/json']\ntolerance = 'tolerant'").session_config()
    assert config.offer == Offer(versions=(2,), content_types=("application/json",))
    assert config.tolerance is Tolerance.TOLERANT
    assert Config().session_config() == CloudConfig()


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[protocol]\nversions = [3]", "protocol.versions"),
        ("[protocol]\nversions = []", "protocol.versions"),
        ("[protocol]\ncontent_types = ['text/plain']", "protocol.content_types"),
        ("[protocol]\nversions = [1]\ncontent_types = ['application/vnd.msgpack']", "protocol.content_types"),
        ("[signing]\nkid = 'k'", "signing"),
    ],
)
def test_what_cannot_be_spoken_is_refused(read, text: str, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert caught.value.key == key


def test_a_key_signs_what_devices_verify(read, tmp_path: Path) -> None:
    pem = new_private_pem(os.urandom)
    (tmp_path / "cloud.pem").write_bytes(pem)
    signer = read("[signing]\nkid = 'cloud-1'\nkey_file = 'cloud.pem'").signer()
    assert signer is not None
    assert dict(signer.sign(Kind.SCHEDULE, "a", b"x"))["kid"] == "cloud-1"
    assert Config().signer() is None
    (tmp_path / "cloud.pem").write_bytes(b"no key")
    with pytest.raises(ConfigError, match=r"signing\.key_file"):
        read("[signing]\nkid = 'cloud-1'\nkey_file = 'cloud.pem'").signer()
