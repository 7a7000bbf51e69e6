"""Configuration: a TOML file, and environment variables above it.

.. code-block:: toml

    [broker]
    host = "127.0.0.1"
    [store]
    url = "sqlite:///allye-cloud.db"
    [fleet]
    registry = "devices.toml"
    [prices]
    path = "prices.csv"
    unit = "p/kWh"
    zone = "Europe/London"

1. Every key has an environment variable: ``ALLYE_CLOUD_BROKER__HOST`` is ``host`` in ``[broker]``, with two underscores between
   table and key. ``ALLYE_CLOUD_CONFIG`` names the file.
2. A key or variable that is not known is an error: a misspelt limit would otherwise be no limit.
3. Paths in the file are relative to the file, paths in the environment to the working directory.
"""

from __future__ import annotations

import os
import tomllib
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec

from allye_cloud.database import parse_url
from allye_cloud.errors import CloudError
from allye_cloud.prices import PriceUnit
from allye_protocol import topics
from allye_protocol.clock import ScaledClock, SystemClock
from allye_protocol.codec import content_types_of
from allye_protocol.codec.tolerant import Tolerance
from allye_protocol.delivery import RetryPolicy
from allye_protocol.errors import SigningError, StoreError, TopicError
from allye_protocol.messages import VERSIONS
from allye_protocol.negotiation import Offer
from allye_protocol.session import CloudConfig
from allye_protocol.session.cloud_config import OFFER
from allye_protocol.signing import Signer
from allye_protocol.transport.options import MqttOptions, tls_context

if TYPE_CHECKING:
    from collections.abc import Mapping

    from allye_protocol.clock import Clock

__all__ = [
    "BrokerSection",
    "ClockSection",
    "Config",
    "ConfigError",
    "FleetSection",
    "LogSection",
    "PricesSection",
    "ProtocolSection",
    "RetrySection",
    "SigningSection",
    "StoreSection",
    "TopicsSection",
    "load",
]

PREFIX: Final = "ALLYE_CLOUD_"
FILE_VARIABLE: Final = f"{PREFIX}CONFIG"
_PATHS: Final = frozenset(
    {"broker.cafile", "broker.certfile", "broker.keyfile", "fleet.registry", "prices.path", "signing.key_file"}
)

Text = Annotated[str, msgspec.Meta(min_length=1)]
Port = Annotated[int, msgspec.Meta(ge=1, le=65_535)]
Count = Annotated[int, msgspec.Meta(ge=1, le=65_535)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=1e8)]


class ConfigError(CloudError):
    """A configuration that cannot be used.

    :param source: the file, or the environment variable.
    :param key: the key at fault (``broker.port``); empty for the whole file.
    :param what: what is wrong.
    :param remedy: what to do about it.
    """

    def __init__(self, source: str, key: str, what: str, remedy: str) -> None:
        super().__init__(source, key, what, remedy)
        self.source = source
        self.key = key
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        where = f"{self.source}: {self.key}" if self.key else self.source
        return f"{where}: {self.what}; {self.remedy}"


class _Section(msgspec.Struct, frozen=True, kw_only=True):
    pass


class BrokerSection(_Section, frozen=True, kw_only=True):
    """How to reach the broker; see :class:`~allye_protocol.transport.options.MqttOptions`.

    :param tls: connect by TLS. ``cafile``, ``certfile`` and ``keyfile`` go with it.
    :param receive_maximum: how many messages the broker may have under way to this service: the size of a batch.
    """

    host: Text = "127.0.0.1"
    port: Port = 1883
    protocol: Literal["5", "3.1.1"] = "5"
    client_id: Text = "allye-cloud"
    username: str | None = None
    password: str | None = None
    tls: bool = False
    cafile: str | None = None
    certfile: str | None = None
    keyfile: str | None = None
    keepalive_s: Count = 60
    receive_maximum: Count = 500
    max_inflight: Count = 20


class StoreSection(_Section, frozen=True, kw_only=True):
    """Where deliveries, answers, results and plans are kept.

    :param url: ``sqlite:///FILE`` or ``postgresql://USER:PASSWORD@HOST/NAME``.
    """

    url: Text = "sqlite:///allye-cloud.db"


class FleetSection(_Section, frozen=True, kw_only=True):
    """Which devices there are.

    :param registry: the device registry (:mod:`allye_cloud.registry`).
    """

    registry: Text = "devices.toml"


class TopicsSection(_Section, frozen=True, kw_only=True):
    """Where messages travel.

    :param root: everything above the device.
    :param group: the name that workers share who divide the fleet's messages among them; none for a single worker.
    """

    root: Text = topics.DEFAULT_ROOT
    group: Text | None = None


class ProtocolSection(_Section, frozen=True, kw_only=True):
    """What is spoken with devices; see :class:`~allye_protocol.session.CloudConfig`.

    :param versions: major versions of the protocol.
    :param content_types: encodings as media types, the preferred one first.
    :param tolerance: ``tolerant`` reads known deviations of third-party devices and logs them; schedules are never read so.
    """

    versions: tuple[int, ...] = OFFER.versions
    content_types: tuple[str, ...] = OFFER.content_types
    tolerance: Literal["strict", "tolerant"] = "strict"


class SigningSection(_Section, frozen=True, kw_only=True):
    """With what schedules and cancels are signed. Without a key they are not.

    :param kid: the key's name, which devices know its public key by.
    :param key_file: the Ed25519 private key, PEM (PKCS 8).
    """

    kid: Text | None = None
    key_file: str | None = None


class PricesSection(_Section, frozen=True, kw_only=True):
    """What the price file is like.

    :param path: the file; ``--prices`` names another one.
    :param unit: what its numbers mean.
    :param zone: the zone of times that carry no offset.
    :param time_column: header of the column with the starts of the half-hours, where it cannot be found by its words.
    :param price_column: header of the column with the prices, likewise.
    """

    path: str | None = None
    unit: PriceUnit = PriceUnit.PENCE_PER_KWH
    zone: Text = "Europe/London"
    time_column: str | None = None
    price_column: str | None = None


class RetrySection(_Section, frozen=True, kw_only=True):
    """How a schedule is repeated; see :class:`~allye_protocol.delivery.RetryPolicy`. All in seconds."""

    base_s: Seconds = 30.0
    cap_s: Seconds = 900.0
    alarm_before_s: Annotated[float, msgspec.Meta(ge=0, le=1e8)] = 1800.0


class ClockSection(_Section, frozen=True, kw_only=True):
    """Which time it is.

    :param kind: ``system``, or ``scaled`` for a played day.
    :param origin: scaled: the time that is shown at ``started``.
    :param started: scaled: Unix time of the start, s.
    :param speed: scaled: seconds shown for each second that passes.
    """

    kind: Literal["system", "scaled"] = "system"
    origin: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    started: float | None = None
    speed: Seconds | None = None


class LogSection(_Section, frozen=True, kw_only=True):
    """What is logged.

    :param level: the least level that is written.
    """

    level: Literal["debug", "info", "warning", "error"] = "info"


class Config(_Section, frozen=True, kw_only=True):
    """Everything that can be configured, one section a concern."""

    broker: BrokerSection = BrokerSection()
    store: StoreSection = StoreSection()
    fleet: FleetSection = FleetSection()
    topics: TopicsSection = TopicsSection()
    protocol: ProtocolSection = ProtocolSection()
    signing: SigningSection = SigningSection()
    prices: PricesSection = PricesSection()
    retry: RetrySection = RetrySection()
    clock: ClockSection = ClockSection()
    log: LogSection = LogSection()

    def session_config(self) -> CloudConfig:
        """The protocol's part."""
        retry = RetryPolicy(
            base=timedelta(seconds=self.retry.base_s),
            cap=timedelta(seconds=self.retry.cap_s),
            alarm_before=timedelta(seconds=self.retry.alarm_before_s),
        )
        return CloudConfig(
            root=self.topics.root,
            group=self.topics.group,
            retry=retry,
            offer=Offer(versions=self.protocol.versions, content_types=self.protocol.content_types),
            tolerance=Tolerance(self.protocol.tolerance),
        )

    def signer(self) -> Signer | None:
        """What signs schedules and cancels, where a key is configured.

        :raises ConfigError: for a key that cannot be used.
        """
        kid, file = self.signing.kid, self.signing.key_file
        if kid is None or file is None:
            return None
        try:
            return Signer.from_pem(kid, Path(file).read_bytes())
        except (OSError, SigningError, ImportError) as error:
            remedy = "name an Ed25519 private key in PEM that this user can read"
            raise ConfigError("configuration", "signing.key_file", f"cannot be used: {error}", remedy) from None

    def mqtt_options(self, *, suffix: str = "", session_expiry_s: int = 86_400) -> MqttOptions:
        """How to reach the broker.

        :param suffix: behind the client id, for a second connection beside the service's.
        :param session_expiry_s: how long the broker keeps messages for this client while it is away, s.
        :raises ConfigError: for a TLS file that cannot be used.
        """
        broker = self.broker
        tls = None
        if broker.tls:
            try:
                tls = tls_context(cafile=broker.cafile, certfile=broker.certfile, keyfile=broker.keyfile)
            except (OSError, ValueError) as error:
                remedy = "check cafile, certfile and keyfile: PEM files that this user can read"
                raise ConfigError("configuration", "broker.tls", f"cannot be used: {error}", remedy) from None
        return MqttOptions(
            host=broker.host,
            port=broker.port,
            client_id=broker.client_id + suffix,
            protocol=broker.protocol,
            username=broker.username,
            password=broker.password,
            tls=tls,
            keepalive_s=broker.keepalive_s,
            receive_maximum=broker.receive_maximum,
            max_inflight=broker.max_inflight,
            session_expiry_s=session_expiry_s,
        )

    def make_clock(self) -> Clock:
        """The clock that the service lives by.

        :raises ConfigError: for a scaled clock that has run beyond all dates.
        """
        clock = self.clock
        if clock.origin is None or clock.started is None or clock.speed is None:
            return SystemClock()
        made = ScaledClock(clock.origin, clock.started, clock.speed)
        try:
            made.now()
        except OverflowError:
            remedy = "set it to the Unix time at which the played day begins"
            raise ConfigError("configuration", "clock.started", "is too long ago for this speed", remedy) from None
        return made


def load(path: Path | None, environment: Mapping[str, str] = MappingProxyType(os.environ)) -> Config:
    """Read the configuration.

    :param path: the file; ``None`` for the one that ``ALLYE_CLOUD_CONFIG`` names, or none at all.
    :param environment: the environment variables.
    :raises ConfigError: for a file that cannot be read, an unknown key or variable, or a value that makes no sense.
    """
    if path is None and FILE_VARIABLE in environment:
        path = Path(environment[FILE_VARIABLE])
    source = "configuration" if path is None else str(path)
    content = {} if path is None else _file(path)
    for section, table in content.items():
        kind = _field(source, "", Config, section).type
        if not isinstance(table, dict):
            raise ConfigError(source, section, "must be a table", f"write it as [{section}]")
        for key in table:
            _field(source, section, kind, key)
    try:
        from_file = msgspec.convert(content, Config)
    except msgspec.ValidationError as error:
        raise _invalid(source, error) from None
    config = _with_environment(from_file, environment)
    _check(source, config)
    return config


def _file(path: Path) -> dict[str, Any]:
    try:
        content = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        what, remedy = f"cannot be read: {error.strerror}", "check the path and its permissions"
        raise ConfigError(str(path), "", what, remedy) from None
    except ValueError as error:  # not UTF-8, or not TOML
        raise ConfigError(str(path), "", f"is not TOML: {error}", "correct the file there") from None
    for section, table in content.items():
        for key in table if isinstance(table, dict) else ():
            if f"{section}.{key}" in _PATHS and isinstance(table[key], str):
                table[key] = str(path.parent / table[key])
    return content


def _with_environment(config: Config, environment: Mapping[str, str]) -> Config:
    for name in sorted(name for name in environment if name.startswith(PREFIX) and name != FILE_VARIABLE):
        section, _, key = name.removeprefix(PREFIX).lower().partition("__")
        kind = _field(name, "", Config, section).type
        if not key:
            raise ConfigError(name, section, "must be a table", f"set {name}__KEY for a key of it")
        field = _field(name, section, kind, key)
        try:
            value = msgspec.convert(environment[name], field.type, strict=False)
        except msgspec.ValidationError as error:
            raise ConfigError(name, f"{section}.{key}", str(error), "correct it, or remove it to have the default") from None
        changed = msgspec.structs.replace(getattr(config, section), **{field.name: value})
        config = msgspec.structs.replace(config, **{section: changed})
    return config


def _field(source: str, section: str, kind: type[_Section], key: str) -> msgspec.structs.FieldInfo:
    """The field that a key of a section stands for; without a section, the section that it names."""
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    if key not in fields:
        raise ConfigError(source, f"{section}.{key}" if section else key, "is not known", f"known: {', '.join(fields)}")
    return fields[key]


def _invalid(source: str, error: msgspec.ValidationError) -> ConfigError:
    what, _, place = str(error).partition(" - at `$.")
    return ConfigError(source, place.rstrip("`"), what, "correct it, or remove it to have the default")


def _check(source: str, config: Config) -> None:
    """What must be together."""
    clock = config.clock
    given = (clock.origin, clock.started, clock.speed)
    if clock.kind == "scaled" and None in given:
        raise ConfigError(source, "clock", "is incomplete", "a scaled clock needs origin, started and speed")
    if clock.kind == "system" and given != (None, None, None):
        raise ConfigError(source, "clock", "has figures for a scaled clock", 'set kind = "scaled", or remove them')
    if not config.broker.tls and (config.broker.cafile or config.broker.certfile or config.broker.keyfile):
        raise ConfigError(source, "broker.tls", "is off, but there are TLS files", "set tls = true, or remove the files")
    unknown = [version for version in config.protocol.versions if version not in VERSIONS]
    if unknown or not config.protocol.versions:
        known = ", ".join(map(str, VERSIONS))
        raise ConfigError(source, "protocol.versions", f"this library speaks {known}", "name some of them")
    writable = {name for version in config.protocol.versions for name in content_types_of(version)}
    if not writable.intersection(config.protocol.content_types):
        what = f"none of them can be written; there are {', '.join(sorted(writable))}"
        raise ConfigError(source, "protocol.content_types", what, "name at least one")
    if (config.signing.kid is None) is not (config.signing.key_file is None):
        raise ConfigError(source, "signing", "is incomplete", "a key needs kid and key_file")
    try:
        parse_url(config.store.url)
    except StoreError as error:
        raise ConfigError(source, "store.url", "cannot be used", error.message) from None
    try:
        topics.cloud_filters(config.topics.root, config.topics.group)
    except TopicError as error:
        raise ConfigError(source, "topics", error.message, "choose another root or group") from None
