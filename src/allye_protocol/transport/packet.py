"""How many bytes a frame has on the wire.

A broker ends the connection of a client that sends more than it takes, and a client that then connects and sends the same again
does so for ever. So the size is known before anything is sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from allye_protocol.errors import ErrorCode, TransportError

if TYPE_CHECKING:
    from allye_protocol.frame import Frame

__all__ = ["check_packet_size", "publish_bytes"]

_CONTENT_TYPE_OVERHEAD = 3
_USER_PROPERTY_OVERHEAD = 5
_EXPIRY_BYTES = 5


def publish_bytes(frame: Frame, *, mqtt5: bool = True) -> int:
    """The size of a frame's PUBLISH packet, bytes (MQTT 5 section 3.3).

    :param frame: the frame.
    :param mqtt5: whether the packet has properties.
    """
    body = 2 + len(frame.topic.encode()) + (2 if frame.qos else 0) + len(frame.payload)
    if mqtt5:
        properties = 0
        if frame.content_type is not None:
            properties += _CONTENT_TYPE_OVERHEAD + len(frame.content_type.encode())
        if frame.expiry_s is not None:
            properties += _EXPIRY_BYTES
        for name, value in frame.user_properties:
            properties += _USER_PROPERTY_OVERHEAD + len(name.encode()) + len(value.encode())
        body += _varint_bytes(properties) + properties
    return 1 + _varint_bytes(body) + body


def check_packet_size(frame: Frame, limit: int | None, *, mqtt5: bool = True) -> None:
    """Refuse a frame that a broker would not take.

    :param frame: the frame.
    :param limit: the broker's maximum packet size, bytes; ``None`` for no limit.
    :param mqtt5: whether the packet has properties.
    :raises TransportError: ``transport.too_large``.
    """
    if limit is None:
        return
    size = publish_bytes(frame, mqtt5=mqtt5)
    if size > limit:
        raise TransportError(
            ErrorCode.TRANSPORT_TOO_LARGE,
            f"a packet of {size} bytes for {frame.topic} is above the broker's limit of {limit}",
            details={"bytes": size, "limit": limit, "topic": frame.topic},
        )


def _varint_bytes(number: int) -> int:
    return max(1, -(-number.bit_length() // 7))
