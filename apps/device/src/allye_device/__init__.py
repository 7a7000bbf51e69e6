"""The reference edge agent: takes schedules over MQTT, drives one battery by them and reports every slot.

``agent`` is the loop; ``battery`` what it does with its driver, ``boundary`` what it does about a bug in one; ``timekeeping``
is its one time; ``post`` is what leaves, ``presence`` when a status does; ``config``, ``loading``, ``assembly``, ``trusted``,
``ownership``, ``hello``, ``logs`` and ``status`` are what stands around it. The command is in ``__main__``.
"""

from allye_device.agent import Agent
from allye_device.assembly import assembled, clock_of
from allye_device.config import AgentConfig, ConfigError
from allye_device.loading import load_config
from allye_device.timekeeping import Timekeeper

__all__ = ["Agent", "AgentConfig", "ConfigError", "Timekeeper", "assembled", "clock_of", "load_config"]
