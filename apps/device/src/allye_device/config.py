"""The device's configuration: a TOML file, overridden key by key from the environment.

``ALLYE_DEVICE_BROKER__HOST=broker.example`` stands for ``host`` in ``[broker]``; two underscores go one table down. A key that
is not known is an error, and so is a missing one that has no safe default: nobody can guess how much power a battery takes.
"""

from __future__ import annotations

import tomllib
from datetime import datetime
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NamedTuple, NoReturn, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import Meta, Struct

from allye_protocol import topics
from allye_protocol.errors import AllyeError
from allye_protocol.ids import device_id

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "AgentConfig",
    "BatteryConfig",
    "BrokerConfig",
    "ClockConfig",
    "ConfigError",
    "DriverConfig",
    "SetpointConfig",
    "StoreConfig",
    "TlsConfig",
    "TrustConfig",
    "load_config",
    "store_file",
]

PREFIX: Final = "ALLYE_DEVICE_"
FILE_VARIABLE: Final = "ALLYE_DEVICE_CONFIG"

Watts = Annotated[int, Meta(ge=0, le=10_000_000)]
Percent = Annotated[float, Meta(ge=0, le=100)]
_Struct = TypeVar("_Struct", bound=Struct)


class ConfigError(Exception):
    """A configuration that the agent cannot run with.

    :param where: the file or environment variable.
    :param key: the key at fault, ``table.key``; empty for the whole.
    :param what: what is wrong, and what to do about it.
    """

    def __init__(self, where: str, key: str, what: str) -> None:
        super().__init__(where, key, what)
        self.where: Final = where
        self.key: Final = key
        self.what: Final = what

    def __str__(self) -> str:
        return ": ".join(part for part in (self.where, self.key, self.what) if part)


class _KeyError(ValueError):
    """A value that makes no sense, and the key in its table that has it."""

    def __init__(self, key: str, what: str) -> None:
        super().__init__(what)
        self.key: Final = key


class BatteryConfig(Struct, frozen=True, kw_only=True):
    """``[battery]``: what this device admits, announces and never goes beyond. The first three have no default.

    :param capacity_wh: usable energy from empty to full, Wh.
    :param max_charge_w: largest charging power, W. A schedule with more is refused.
    :param max_discharge_w: largest discharging power, W, as a positive number.
    :param soc_min_pct: discharging stops here, %.
    :param soc_max_pct: charging stops here, %.
    """

    capacity_wh: Annotated[int, Meta(ge=1, le=1_000_000_000)]
    max_charge_w: Watts
    max_discharge_w: Watts
    soc_min_pct: Percent = 0.0
    soc_max_pct: Percent = 100.0

    def __post_init__(self) -> None:
        if self.soc_min_pct >= self.soc_max_pct:
            raise ValueError(f"soc_min_pct {self.soc_min_pct:g} is not below soc_max_pct {self.soc_max_pct:g}")


class DriverConfig(Struct, frozen=True, kw_only=True):
    """``[driver]``: how the battery is reached.

    :param name: one of ``allye-device drivers``.
    :param options: the driver's own; its package documents them.
    """

    name: str
    options: dict[str, Any] = {}


class TlsConfig(Struct, frozen=True, kw_only=True):
    """``[broker.tls]``: an encrypted connection to a broker whose certificate and name are verified.

    :param cafile: authorities to trust, PEM; absent: those of the system.
    :param certfile: this device's certificate, PEM.
    :param keyfile: its private key, PEM.
    """

    cafile: str | None = None
    certfile: str | None = None
    keyfile: str | None = None


class BrokerConfig(Struct, frozen=True, kw_only=True):
    """``[broker]``: where messages come from. The client id is the device id.

    :param host: name or address.
    :param port: TCP port.
    :param protocol: MQTT version.
    :param username: for brokers that want one.
    :param password: goes with it; better given by the environment than by the file.
    :param keepalive_s: longest silence on the connection, s.
    :param tls: absent: a plain connection, for tests and private networks only.
    """

    host: str
    port: Annotated[int, Meta(ge=1, le=65_535)] = 1883
    protocol: Literal["5", "3.1.1"] = "5"
    username: str | None = None
    password: str | None = None
    keepalive_s: Annotated[int, Meta(ge=1, le=65_535)] = 60
    tls: TlsConfig | None = None


class StoreConfig(Struct, frozen=True, kw_only=True):
    """``[store]``: where the device remembers.

    :param path: the SQLite file; its folder must exist. Beside it stands ``<path>.time``, the newest trusted time.
    """

    path: str


class SetpointConfig(Struct, frozen=True, kw_only=True):
    """``[setpoint]``: how the battery is commanded.

    :param validity_s: for how long the battery follows a setpoint that is not refreshed, s. It is refreshed at a third of it.
    """

    validity_s: Annotated[float, Meta(ge=3, le=3600)] = 60.0


class TrustConfig(Struct, frozen=True, kw_only=True):
    """``[trust]``: when the machine's clock is believed.

    :param time: ``synchronised``: once ``file`` is there; ``always``: for machines with a battery-backed clock, and for play.
    :param file: what the machine's time service makes when it has synchronised; the default is systemd-timesyncd's.
    """

    time: Literal["always", "synchronised"] = "synchronised"
    file: str = "/run/systemd/timesync/synchronized"


class ClockConfig(Struct, frozen=True, kw_only=True):
    """``[clock]``: where time comes from.

    :param kind: ``system``, or ``scaled``: time is played. Processes that are given the same three figures agree on it.
    :param origin: the instant shown at ``started``; scaled only.
    :param started: Unix time of the start, s; scaled only.
    :param speed: seconds shown for each second that passes; scaled only.
    """

    kind: Literal["system", "scaled"] = "system"
    origin: Annotated[datetime, Meta(tz=True)] | None = None
    started: float | None = None
    speed: Annotated[float, Meta(gt=0)] | None = None

    def __post_init__(self) -> None:
        given = {"origin": self.origin, "started": self.started, "speed": self.speed}
        if self.kind == "scaled" and None in given.values():
            missing = ", ".join(name for name, value in given.items() if value is None)
            raise ValueError(f"a scaled clock needs origin, started and speed; add {missing}")
        if self.kind == "system" and any(value is not None for value in given.values()):
            raise ValueError('origin, started and speed go with kind = "scaled"; remove them, or set it')


class AgentConfig(Struct, frozen=True, kw_only=True):
    """Everything about a device that is not code.

    :param device_id: its name.
    :param root: root of the topics.
    """

    device_id: str
    battery: BatteryConfig
    driver: DriverConfig
    broker: BrokerConfig
    store: StoreConfig
    root: str = topics.DEFAULT_ROOT
    setpoint: SetpointConfig = SetpointConfig()
    trust: TrustConfig = TrustConfig()
    clock: ClockConfig = ClockConfig()

    def __post_init__(self) -> None:
        try:
            name = device_id(self.device_id)
        except AllyeError as error:
            raise _KeyError("device_id", error.message) from error
        try:
            topics.build(name, topics.Channel.SCHEDULE, self.root)
        except AllyeError as error:
            raise _KeyError("root", error.message) from error


class _Text(NamedTuple):
    """A value from the environment, which has no types."""

    variable: str
    text: str


def load_config(file: Path | None, environ: Mapping[str, str]) -> AgentConfig:
    """Read the configuration.

    :param file: the TOML file; ``None``: the one that ``ALLYE_DEVICE_CONFIG`` names, or none at all.
    :param environ: the environment.
    :raises ConfigError: naming the file or variable, the key, and what to do.
    """
    if file is None and environ.get(FILE_VARIABLE):
        file = Path(environ[FILE_VARIABLE])
    where = f"environment (no --config FILE, no {FILE_VARIABLE})" if file is None else str(file)
    table = {} if file is None else _read(file)
    for variable in sorted(environ):
        if variable.startswith(PREFIX) and variable != FILE_VARIABLE:
            _overlay(table, _Text(variable, environ[variable]))
    if file is None and not table:
        raise ConfigError("", "", f"there is no configuration; give --config FILE, or name the file in {FILE_VARIABLE}")
    return _struct(AgentConfig, table, where, "")


def store_file(config: AgentConfig) -> Path:
    """The file of the store. It need not be there; its folder must.

    :raises ConfigError: for a folder that is not there.
    """
    path = Path(config.store.path)
    if not path.parent.is_dir():
        what = f"there is no folder {path.parent.absolute()}; make it, or name a file in another"
        raise ConfigError(f"device {config.device_id}", "store.path", what)
    return path


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(str(file), "", f"cannot be read ({error.strerror}); name the file with --config") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(str(file), "", f"is not TOML: {error}") from error


def _overlay(table: dict[str, Any], value: _Text) -> None:
    *tables, key = value.variable.removeprefix(PREFIX).lower().split("__")
    for name in tables:
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            raise ConfigError(value.variable, "", f"{name!r} is no table")
    table[key] = value


def _struct(kind: type[_Struct], table: object, where: str, path: str) -> _Struct:
    if not isinstance(table, dict):
        _wrong(table, where, path, f"must be a table: [{path}]")
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    for name, value in table.items():
        if name not in fields:
            _wrong(value, where, _join(path, name), f"is not known; known: {', '.join(fields)}")
    missing = [name for name, field in fields.items() if field.required and name not in table]
    if missing:
        key = _join(path, missing[0])
        remedy = f"add it, or set {_variable(key)}" if _nested(fields[missing[0]].type) is None else f"add the table [{key}]"
        raise ConfigError(where, key, f"is missing; {remedy}")
    values = {name: _value(fields[name].type, value, where, _join(path, name)) for name, value in table.items()}
    try:
        return kind(**values)
    except _KeyError as error:
        raise ConfigError(where, _join(path, error.key), str(error)) from error
    except ValueError as error:
        raise ConfigError(where, path, str(error)) from error


def _value(kind: Any, value: object, where: str, path: str) -> Any:
    nested = _nested(kind)
    if nested is not None:
        return _struct(nested, value, where, path)
    if isinstance(value, dict):
        value = {key: _literal(item) for key, item in value.items()}
    plain = value.text if isinstance(value, _Text) else value
    try:
        return msgspec.convert(plain, kind, strict=not isinstance(value, _Text))
    except msgspec.ValidationError as error:
        return _wrong(value, where, path, f"{str(error).partition(' - at ')[0]}; correct it")


def _nested(kind: Any) -> type[Struct] | None:
    """The table that a key of this type is."""
    members = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    return next((member for member in members if isinstance(member, type) and issubclass(member, Struct)), None)


def _literal(value: object) -> object:
    """A driver's option: its type is known to the driver alone, so text from the environment is read as TOML if it is that."""
    if isinstance(value, dict):
        return {key: _literal(item) for key, item in value.items()}
    if not isinstance(value, _Text):
        return value
    try:
        return tomllib.loads(f"value = {value.text}")["value"]
    except tomllib.TOMLDecodeError:
        return value.text


def _wrong(value: object, where: str, path: str, what: str) -> NoReturn:
    raise ConfigError(value.variable if isinstance(value, _Text) else where, path, what)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _variable(path: str) -> str:
    return PREFIX + path.replace(".", "__").upper()
