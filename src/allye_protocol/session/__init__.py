"""The two machines: what a device does and what the cloud does, without a clock, a socket or a thread."""

from __future__ import annotations

from allye_protocol.session.cloud import CloudConfig, CloudSession, Dispatch
from allye_protocol.session.device import DeviceConfig, DeviceSession, Outgoing, Reading

__all__ = ["CloudConfig", "CloudSession", "DeviceConfig", "DeviceSession", "Dispatch", "Outgoing", "Reading"]
