"""Finding drivers: the entry-point group ``allye.drivers``.

A driver for another battery is a package of its own that names its factory (:data:`allye_max300.driver.DriverFactory`) in its
``pyproject.toml``; nothing here is edited for it::

    [project.entry-points."allye.drivers"]
    acme = "acme_battery:open_acme"
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Final

import msgspec

from allye_protocol.errors import DriverError, ErrorCode

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.metadata import EntryPoint

    from allye_max300.driver import Clock, Driver

__all__ = ["GROUP", "DriverInfo", "available", "open_driver"]

GROUP: Final = "allye.drivers"
"""The entry-point group in which drivers are found."""


class DriverInfo(msgspec.Struct, frozen=True, kw_only=True):
    """An installed driver, not yet imported.

    :param name: what a configuration calls it.
    :param factory: where its factory is, ``module:attribute``.
    :param distribution: the package that brings it.
    :param version: of that package.
    """

    name: str
    factory: str
    distribution: str
    version: str


def available() -> dict[str, DriverInfo]:
    """All installed drivers by name, sorted. Imports none of them.

    :raises DriverError: ``driver.rejected`` when two packages bring a driver of the same name.
    """
    return {name: _info(point) for name, point in _points().items()}


def open_driver(name: str, options: Mapping[str, object], clock: Clock) -> Driver:
    """Open a driver.

    :param name: one of :func:`available`.
    :param options: its own options; its package documents them.
    :param clock: the present instant, aware UTC.
    :raises DriverError: ``driver.not_supported`` when no such driver is installed or it cannot be imported; ``driver.rejected``
        for wrong options, naming the option; and whatever the driver says of its battery.
    :raises StoreError: ``store.corrupt`` or ``store.failed`` from a driver that keeps files, naming the file.
    """
    points = _points()
    point = points.get(name)
    if point is None:
        installed = ", ".join(points) or "none"
        raise DriverError(
            ErrorCode.DRIVER_NOT_SUPPORTED,
            f"no driver {name!r} is installed; there is: {installed}",
            details={"available": list(points)},
        )
    try:
        factory = point.load()
    except (ImportError, AttributeError) as error:
        info = _info(point)
        raise DriverError(
            ErrorCode.DRIVER_NOT_SUPPORTED, f"driver {name!r} of {info.distribution} {info.version} cannot be imported: {error}"
        ) from error
    driver: Driver = factory(options, clock)
    return driver


def _points() -> dict[str, EntryPoint]:
    points: dict[str, EntryPoint] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        other = points.setdefault(point.name, point)
        if other.value != point.value:
            brought = f"{_info(other).distribution} and {_info(point).distribution}"
            raise DriverError(
                ErrorCode.DRIVER_REJECTED, f"two packages bring a driver {point.name!r}: {brought}; uninstall one"
            )
    return points


def _info(point: EntryPoint) -> DriverInfo:
    brings = point.dist
    return DriverInfo(
        name=point.name,
        factory=point.value,
        distribution="unknown" if brings is None else brings.name,
        version="unknown" if brings is None else brings.version,
    )
