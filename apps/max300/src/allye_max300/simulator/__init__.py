"""A deterministic simulated battery behind the driver interface.

:func:`open_simulator` is the driver's factory (entry point ``simulator``), :class:`SimulatorConfig` its options,
:mod:`~allye_max300.simulator.faults` what can go wrong: ``driver.battery.inject(faults.LinkLoss())``.
"""

from allye_max300.simulator import faults
from allye_max300.simulator.battery import Battery
from allye_max300.simulator.config import SimulatorConfig
from allye_max300.simulator.driver import SimulatorDriver, open_simulator

__all__ = ["Battery", "SimulatorConfig", "SimulatorDriver", "faults", "open_simulator"]
