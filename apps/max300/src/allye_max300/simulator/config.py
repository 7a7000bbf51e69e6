"""What a simulated battery is made of.

**Every default is an assumption of the simulator.** The MAX300's usable capacity, inverter power, thermal behaviour and timing
are not public; none of these figures says anything about the real one.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import msgspec

from allye_protocol.errors import DriverError, ErrorCode

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SimulatorConfig"]

_RANGES: Final[dict[str, tuple[float, float]]] = {
    "capacity_wh": (1, 1e9),
    "max_charge_w": (0, 10_000_000),
    "max_discharge_w": (0, 10_000_000),
    "power_step_w": (1, 1_000_000),
    "dead_band_w": (0, 1_000_000),
    "ramp_w_per_s": (1, 1e9),
    "charge_efficiency": (0.1, 1),
    "discharge_efficiency": (0.1, 1),
    "standby_draw_w": (0, 1_000_000),
    "initial_soc_pct": (0, 100),
    "charge_taper_from_pct": (0, 99.9),
    "discharge_taper_from_pct": (0.1, 100),
    "ambient_c": (-60, 80),
    "temperature_spread_c": (0, 30),
    "thermal_mass_j_per_k": (1, 1e12),
    "cooling_w_per_k": (0.001, 1e9),
    "packs": (1, 1000),
    "soh_pct": (0, 100),
    "command_latency_s": (0, 60),
    "start_delay_s": (0, 3600),
    "max_validity_s": (1, 86_400),
    "heartbeat_timeout_s": (1, 86_400),
    "power_noise_w": (0, 1_000_000),
    "temperature_noise_c": (0, 50),
    "save_every_s": (0, 86_400),
}
"""Smallest and largest value of each number; one that is not finite is in no range."""


class SimulatorConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All options of the driver ``simulator``. Every default is an assumption, not a fact about a MAX300.

    :param capacity_wh: usable energy of all packs, Wh.
    :param max_charge_w: charging power at the AC terminals, W.
    :param max_discharge_w: discharging power at the AC terminals, W, positive.
    :param power_step_w: setpoints are rounded towards zero to a multiple of this, W.
    :param dead_band_w: smaller setpoints are 0 W, W.
    :param ramp_w_per_s: how fast |power| rises, W/s; it falls at once.
    :param charge_efficiency: DC energy stored per AC energy taken, 0 to 1.
    :param discharge_efficiency: AC energy given per DC energy taken, 0 to 1.
    :param standby_draw_w: what the battery draws from its own packs, always, W.
    :param initial_soc_pct: state of charge of a new battery, %.
    :param charge_taper_from_pct: charging power falls linearly from here to 0 at 100 %.
    :param discharge_taper_from_pct: discharging power falls linearly from here to 0 at 0 %.
    :param charge_derate_c: charging is nil below the first and above the last temperature and full between the middle two.
    :param discharge_derate_c: the same for discharging.
    :param ambient_c: temperature around the battery, and of a new one, degrees Celsius.
    :param temperature_spread_c: hottest less coldest pack, K.
    :param thermal_mass_j_per_k: heat that warms the battery by one kelvin, J/K.
    :param cooling_w_per_k: heat given to the surroundings per kelvin above them, W/K.
    :param packs: number of packs, each an equal share of capacity and power.
    :param soh_pct: state of health of each pack in turn, %, repeated as needed: second-life packs are mixed.
    :param command_latency_s: from a setpoint being held to power following it, s.
    :param start_delay_s: time spent in ``INITIALISING``, s.
    :param max_validity_s: longest validity of a setpoint, s.
    :param heartbeat_timeout_s: without a heartbeat for so long the battery goes to 0 W, s; absent: it does not watch.
    :param power_noise_w: standard deviation of the measured power, W. Never in counters or state of charge.
    :param temperature_noise_c: standard deviation of the measured temperatures, K.
    :param seed: of the noise.
    :param serial: serial number to report.
    :param state_file: where the battery lives on between processes; absent: it is a new one each time.
    :param save_every_s: how often readings save the state, s. Commands always do.
    """

    capacity_wh: float = 300_000.0
    max_charge_w: int = 150_000
    max_discharge_w: int = 150_000
    power_step_w: int = 100
    dead_band_w: int = 300
    ramp_w_per_s: float = 50_000.0
    charge_efficiency: float = 0.95
    discharge_efficiency: float = 0.95
    standby_draw_w: float = 100.0
    initial_soc_pct: float = 50.0
    charge_taper_from_pct: float = 95.0
    discharge_taper_from_pct: float = 5.0
    charge_derate_c: tuple[float, float, float, float] = (0.0, 18.0, 35.0, 40.0)
    discharge_derate_c: tuple[float, float, float, float] = (0.0, 12.0, 45.0, 55.0)
    ambient_c: float = 22.0
    temperature_spread_c: float = 2.0
    thermal_mass_j_per_k: float = 2e6
    cooling_w_per_k: float = 1000.0
    packs: int = 7
    soh_pct: tuple[float, ...] = (86.0, 84.0, 88.0, 81.0, 85.0, 83.0, 87.0)
    command_latency_s: float = 0.2
    start_delay_s: float = 20.0
    max_validity_s: float = 3600.0
    heartbeat_timeout_s: float | None = None
    power_noise_w: float = 0.0
    temperature_noise_c: float = 0.0
    seed: int = 0
    serial: str = "SIM-0001"
    state_file: str | None = None
    save_every_s: float = 60.0

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            for number in value if isinstance(value, tuple) else (value,):
                if number is not None and not low <= number <= high:
                    raise ValueError(f"option {name!r} must be from {low:g} to {high:g}, not {number!r}")
        for name in ("charge_derate_c", "discharge_derate_c"):
            curve = getattr(self, name)
            if not all(map(math.isfinite, curve)) or not curve[0] < curve[1] <= curve[2] < curve[3]:
                raise ValueError(f"option {name!r} must be four rising temperatures, not {curve!r}")
        for name in ("soh_pct", "serial"):
            if not getattr(self, name):
                raise ValueError(f"option {name!r} must not be empty")

    @classmethod
    def of(cls, options: Mapping[str, object]) -> SimulatorConfig:
        """The configuration that ``options`` describe, with defaults for the rest.

        :raises DriverError: ``driver.rejected``, naming the option that is unknown, of the wrong type or out of its range.
        """
        unknown = sorted(set(options) - set(cls.__struct_fields__))
        if unknown:
            known = ", ".join(cls.__struct_fields__)
            raise DriverError(ErrorCode.DRIVER_REJECTED, f"driver 'simulator' has no option {unknown[0]!r}; it has {known}")
        try:
            return msgspec.convert(dict(options), cls)
        except msgspec.ValidationError as error:
            text = str(error).removesuffix(" - at `$`").removesuffix(" - at ``")
            raise DriverError(ErrorCode.DRIVER_REJECTED, f"driver 'simulator': {text}") from error
