"""A simulated battery on disk, so that it lives on while no process runs it.

The file is replaced as a whole, so a process killed at any moment leaves the state before or the state after. It is not
synchronised to the medium: a power cut may cost the last seconds of a *simulated* battery, and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from allye_max300.simulator.controller import BatteryState
from allye_protocol.errors import ErrorCode, StoreError

if TYPE_CHECKING:
    from pathlib import Path

    from allye_max300.simulator.config import SimulatorConfig

__all__ = ["Saved", "load", "save"]


class Saved(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the file holds, as JSON.

    :param format: version of this shape.
    :param offset_us: UTC less the battery's own time, microseconds.
    :param state: the battery.
    """

    format: Literal[1] = 1
    offset_us: int
    state: BatteryState


def load(path: Path, config: SimulatorConfig) -> Saved | None:
    """The battery in ``path``; ``None`` when there is no such file: a new battery.

    :raises StoreError: ``store.corrupt`` when the file is not a state of a battery like ``config``; ``store.failed`` when it
        cannot be read.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(ErrorCode.STORE_FAILED, f"cannot read the battery's state file {path}: {error.strerror}") from error
    try:
        saved = msgspec.json.decode(data, type=Saved)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _corrupt(path, str(error)) from error
    trouble = _misfit(config, saved.state)
    if trouble:
        raise _corrupt(path, trouble)
    return saved


def save(path: Path, saved: Saved) -> None:
    """Replace ``path`` with ``saved``.

    :raises StoreError: ``store.failed``; the file is then as it was.
    """
    beside = path.with_name(path.name + ".new")
    try:
        beside.write_bytes(msgspec.json.encode(saved))
        beside.replace(path)
    except OSError as error:
        raise StoreError(ErrorCode.STORE_FAILED, f"cannot write the battery's state file {path}: {error.strerror}") from error


def _corrupt(path: Path, trouble: str) -> StoreError:
    advice = "restore it, or delete it to begin with a new battery"
    return StoreError(
        ErrorCode.STORE_CORRUPT,
        f"{path} is not the state of this simulated battery ({trouble}); {advice}",
        details={"file": str(path)},
    )


def _misfit(config: SimulatorConfig, state: BatteryState) -> str:
    cells = state.cells
    strangers = [pack for pack in cells.dropped if not 1 <= pack <= config.packs]
    if strangers:
        return f"it knows a pack {strangers[0]} of {config.packs}"
    energy_wh = (cells.energy_wh, *cells.dropped.values())
    if min(energy_wh) < 0 or sum(energy_wh) > config.capacity_wh * (1 + 1e-9):
        return f"it stores {sum(energy_wh):.0f} Wh of {config.capacity_wh:.0f} Wh"
    if not -100 <= cells.temperature_c <= 200:
        return f"it is {cells.temperature_c:g} degrees Celsius"
    if min(cells.charged_wh, cells.discharged_wh, cells.standby_wh) < 0:
        return "an energy counter is negative"
    return ""
