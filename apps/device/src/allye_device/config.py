"""What can be configured, a struct a table. How it is given is :mod:`allye_device.loading`'s business.

What makes no sense by itself, or beside its neighbours, is refused when it is made.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from allye_protocol import codec, topics
from allye_protocol.errors import AllyeError
from allye_protocol.ids import device_id
from allye_protocol.messages import VERSIONS
from allye_protocol.messages.v2 import RESOLUTIONS_S

__all__ = [
    "AgentConfig",
    "BatteryConfig",
    "BrokerConfig",
    "ClockConfig",
    "ConfigError",
    "DriverConfig",
    "KeyConfig",
    "KeyProblem",
    "ProtocolConfig",
    "SetpointConfig",
    "SigningConfig",
    "StatusConfig",
    "StoreConfig",
    "TlsConfig",
    "TrustConfig",
    "store_file",
]

Watts = Annotated[int, Meta(ge=0, le=10_000_000)]
Percent = Annotated[float, Meta(ge=0, le=100)]
Seconds = Annotated[float, Meta(ge=1, le=86_400)]


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


class KeyProblem(ValueError):  # noqa: N818 - what is wrong, on its way to a ConfigError
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


class ProtocolConfig(Struct, frozen=True, kw_only=True):
    """``[protocol]``: what this device offers to speak.

    :param versions: major versions.
    :param content_types: encodings as media types; ``None``: every one that is installed.
    :param slot_lengths_s: slot lengths that are taken, s.
    """

    versions: tuple[int, ...] = VERSIONS
    content_types: tuple[str, ...] | None = None
    slot_lengths_s: tuple[int, ...] = RESOLUTIONS_S

    def __post_init__(self) -> None:
        readable = {content_type for version in self.versions for content_type in codec.content_types_of(version)}
        for key, values, known in (
            ("versions", self.versions, set(VERSIONS)),
            ("slot_lengths_s", self.slot_lengths_s, set(RESOLUTIONS_S)),
            ("content_types", self.offered, readable),
        ):
            if not values or len(set(values)) != len(values) or not known.issuperset(values):
                shown = ", ".join(map(str, sorted(known, key=str)))
                raise KeyProblem(key, f"is one or more of {shown}, each once; not {', '.join(map(str, values)) or 'none'}")
        if 1 in self.versions and (1800 not in self.slot_lengths_s or codec.DEFAULT_CONTENT_TYPE not in self.offered):
            raise KeyProblem(
                "versions", f"version 1 has slots of 1800 s in {codec.DEFAULT_CONTENT_TYPE}; offer both, or leave 1 out"
            )

    @property
    def offered(self) -> tuple[str, ...]:
        """The encodings to announce."""
        return codec.content_types_of(max(self.versions, default=1)) if self.content_types is None else self.content_types


class KeyConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[signing.keys.NAME]``: a key that schedules and cancels may be signed with; the name is the signer's ``kid``.

    :param file: the Ed25519 public key, PEM.
    :param not_before: the first instant at which it counts.
    :param not_after: the first instant at which it no longer counts.
    """

    file: str
    not_before: Annotated[datetime, Meta(tz=True)] | None = None
    not_after: Annotated[datetime, Meta(tz=True)] | None = None


class SigningConfig(Struct, frozen=True, kw_only=True):
    """``[signing]``: whether schedules and cancels must be signed. Needs the extra ``signing``.

    :param policy: ``off``; ``accept``: a signature that is there must be right; ``require``: there must be one.
    :param keys: by their names. Two or more count at once, so that a new one can be used before the old one is taken away.
    """

    policy: Literal["off", "accept", "require"] = "off"
    keys: dict[str, KeyConfig] = {}

    def __post_init__(self) -> None:
        if self.policy != "off" and not self.keys:
            raise KeyProblem("keys", f"are missing; policy {self.policy} needs a table [signing.keys.NAME] with a file")


class StatusConfig(Struct, frozen=True, kw_only=True):
    """``[status]``: how often the device tells how it is.

    :param least_interval_s: not more often than this, s, whatever changes.
    :param most_interval_s: at least so often, s, even if nothing changes.
    """

    least_interval_s: Seconds = 10.0
    most_interval_s: Seconds = 300.0

    def __post_init__(self) -> None:
        if self.least_interval_s > self.most_interval_s:
            raise ValueError(f"least_interval_s {self.least_interval_s:g} is above most_interval_s {self.most_interval_s:g}")


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
    protocol: ProtocolConfig = ProtocolConfig()
    signing: SigningConfig = SigningConfig()
    status: StatusConfig = StatusConfig()

    def __post_init__(self) -> None:
        try:
            name = device_id(self.device_id)
        except AllyeError as error:
            raise KeyProblem("device_id", error.message) from error
        try:
            topics.build(name, topics.Channel.SCHEDULE, self.root)
        except AllyeError as error:
            raise KeyProblem("root", error.message) from error
        if self.signing.policy == "require" and self.broker.protocol == "3.1.1":
            raise KeyProblem("signing.policy", "signatures travel in MQTT 5; set broker.protocol to 5, or policy to off")


def store_file(config: AgentConfig) -> Path:
    """The file of the store. It need not be there; its folder must.

    :raises ConfigError: for a folder that is not there.
    """
    path = Path(config.store.path)
    if not path.parent.is_dir():
        what = f"there is no folder {path.parent.absolute()}; make it, or name a file in another"
        raise ConfigError(f"device {config.device_id}", "store.path", what)
    return path
