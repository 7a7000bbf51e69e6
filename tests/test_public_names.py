"""The public names, pinned: adding one is a decision, taking one away a new major version."""

from __future__ import annotations

import allye_protocol

NAMES = [
    "Ack",
    "AckStatus",
    "Agreement",
    "AllyeError",
    "Cancel",
    "Capabilities",
    "CloudConfig",
    "CloudSession",
    "DecodeError",
    "DeviceConfig",
    "DeviceSession",
    "DeviceStatus",
    "EncodeError",
    "ErrorCode",
    "ExecutionResult",
    "Frame",
    "Hello",
    "Kind",
    "Offer",
    "Problem",
    "Schedule",
    "ScheduleEvent",
    "__version__",
    "choose",
    "decode",
    "device_id",
    "digest",
    "encode",
    "problems",
    "schedule_id",
]


def test_the_public_names_are_these() -> None:
    assert allye_protocol.__all__ == NAMES


def test_there_are_at_most_thirty() -> None:
    assert len(allye_protocol.__all__) <= 30


def test_each_of_them_is_there_and_documented() -> None:
    for name in NAMES:
        public = getattr(allye_protocol, name)
        assert name == "__version__" or public.__doc__
