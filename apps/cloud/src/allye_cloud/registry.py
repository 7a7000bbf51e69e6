"""The device registry: a TOML or JSON file that says which batteries there are and what each can do.

.. code-block:: toml

    [defaults]                      # for every device that does not say otherwise
    zone = "Europe/London"
    capacity_wh = 300000
    max_charge_w = 150000
    max_discharge_w = 150000

    [devices.max300-0001]           # the table's name is the device id
    [devices.max300-0002]
    capacity_wh = 257000
    export_limit_w = 50000

1. Zone, capacity and both powers must be given for every device, by itself or by the defaults: there is no number that is safe
   to assume for a battery. The other keys are optional, with the defaults of :class:`Device` and
   :class:`~allye_cloud.battery.Battery`.
2. A key that is not known, a key or device that comes twice and a value out of range are errors that name the key.
"""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import msgspec

from allye_cloud.battery import Battery, Percent
from allye_cloud.days import zone_named
from allye_cloud.errors import DayError, RegistryError
from allye_protocol.errors import IdError
from allye_protocol.ids import DeviceId, device_id

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Device", "load"]

_SECTIONS: Final = frozenset({"defaults", "devices"})
_ABOUT_DEVICE: Final = frozenset({"zone", "initial_soc_pct"})
_KEYS: Final = _ABOUT_DEVICE | frozenset(Battery.__struct_fields__)
_REQUIRED: Final = ("zone", "capacity_wh", "max_charge_w", "max_discharge_w")


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """One device.

    :param device_id: its id.
    :param zone: the zone whose local days it is planned by.
    :param battery: what its battery can do.
    :param initial_soc_pct: state of charge to assume where none was ever reported, %.
    """

    device_id: DeviceId
    zone: ZoneInfo
    battery: Battery
    initial_soc_pct: Percent = 50.0


def load(path: Path) -> dict[DeviceId, Device]:
    """Read a device registry.

    :param path: a file that ends in ``.toml`` or ``.json``, in UTF-8.
    :returns: the devices by their ids, in the file's order; at least one.
    :raises RegistryError: for a file that cannot be read, or that breaks a rule of this module, with the key.
    """
    content = _table(path, "", _parse(path))
    _check_keys(path, "", content, _SECTIONS)
    defaults = _table(path, "defaults", content.get("defaults", {}))
    _check_keys(path, "defaults", defaults, _KEYS)
    devices = _table(path, "devices", content.get("devices", {}))
    if not devices:
        raise RegistryError(str(path), "devices", "there is no device", "add a table [devices.YOUR-DEVICE-ID]")
    return {device.device_id: device for device in (_device(path, name, own, defaults) for name, own in devices.items())}


def _parse(path: Path) -> object:
    try:
        text = path.read_bytes().decode("utf-8-sig")
        if path.suffix == ".toml":
            return tomllib.loads(text)
        if path.suffix == ".json":
            return json.loads(text, object_pairs_hook=_without_duplicates)
    except OSError as error:
        what, remedy = f"cannot be read: {error.strerror}", "check the path and its permissions"
        raise RegistryError(str(path), "", what, remedy) from None
    except UnicodeDecodeError as error:
        raise RegistryError(str(path), "", f"is not UTF-8 at byte {error.start}", "save the file as UTF-8") from None
    except ValueError as error:  # TOML and JSON errors, which both name the place, and doubled JSON keys
        what = f"is not {path.suffix[1:].upper()}: {error}"
        raise RegistryError(str(path), "", what, "correct the file there; a table or key may come only once") from None
    raise RegistryError(str(path), "", f"is a {path.suffix or 'nameless'} file", "give a .toml or .json file")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key, value in pairs:
        if key in content:
            raise ValueError(f"the key {key!r} comes twice")
        content[key] = value
    return content


def _table(path: Path, key: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise RegistryError(str(path), key, f"is {type(value).__name__}, not a table", "give keys with values")
    return value


def _check_keys(path: Path, section: str, table: dict[str, Any], known: frozenset[str]) -> None:
    for key in table:
        if key not in known:
            where = f"{section}.{key}" if section else key
            raise RegistryError(str(path), where, "is not known", f"known: {', '.join(sorted(known))}")


def _device(path: Path, name: str, table: object, defaults: dict[str, Any]) -> Device:
    section = f"devices.{name}"
    try:
        identity = device_id(name)
    except IdError as error:
        raise RegistryError(str(path), section, error.message, "rename the device") from None
    own = _table(path, section, table)
    _check_keys(path, section, own, _KEYS)
    values = defaults | own
    if missing := [key for key in _REQUIRED if key not in values]:
        remedy = f"set {', '.join(missing)} here or in [defaults]; nothing is assumed about a battery"
        raise RegistryError(str(path), section, "is incomplete", remedy)
    battery = {key: value for key, value in values.items() if key not in _ABOUT_DEVICE}
    rest = {key: value for key, value in values.items() if key in _ABOUT_DEVICE}
    try:
        device = msgspec.convert({"device_id": identity, "battery": battery, **rest}, Device, dec_hook=_zone)
    except msgspec.ValidationError as error:
        what, _, pointer = str(error).partition(" - at `$.")
        raise _bad_value(path, name, own, pointer.rstrip("`").rpartition(".")[2], what) from None
    if trouble := _trouble(device.battery):
        raise _bad_value(path, name, own, *trouble)
    return device


def _bad_value(path: Path, name: str, own: dict[str, Any], key: str, what: str) -> RegistryError:
    """The error for a value, at the place where it stands: the device's own table or the defaults."""
    where = f"devices.{name}.{key}" if key in own else f"defaults.{key}"
    return RegistryError(str(path), where, what, f"correct it (seen at device {name})")


def _zone(kind: type, value: object) -> ZoneInfo:
    """Turn the name of a zone into the zone, for msgspec."""
    if kind is not ZoneInfo or not isinstance(value, str):
        raise TypeError(f"Expected `str`, got `{type(value).__name__}`")
    try:
        return zone_named(value)
    except DayError as error:
        raise ValueError(str(error)) from None


def _trouble(battery: Battery) -> tuple[str, str] | None:
    """What is wrong with a battery whose values are good one by one: the key to change, and why."""
    if battery.soc_min_pct >= battery.soc_max_pct:
        return "soc_max_pct", f"is {battery.soc_max_pct}, not above soc_min_pct, which is {battery.soc_min_pct}"
    if not battery.can_follow_a_plan:
        return "power_step_w", "two power steps of half an hour do not fit into the band between soc_min_pct and soc_max_pct"
    for key in ("max_charge_w", "max_discharge_w"):
        if 0 < getattr(battery, key) < battery.power_step_w:
            return "power_step_w", f"is {battery.power_step_w}, more than {key}, which is {getattr(battery, key)}"
    return None
