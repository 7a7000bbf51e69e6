"""A frame: what a transport carries, and all that the core knows of MQTT.

It is one PUBLISH without its packet identifier. Which connection, which quality of delivery was reached and what the broker
answered are the transport's business (:mod:`allye_protocol.transport.base`).
"""

from __future__ import annotations

import msgspec

__all__ = ["Frame"]


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """One MQTT application message.

    :param topic: the topic name.
    :param payload: the application payload.
    :param qos: quality of service, 0, 1 or 2; everything of this protocol travels with 1.
    :param retain: the RETAIN flag (only ``hello`` and ``status`` set it).
    :param content_type: the MQTT 5 content-type property; ``None`` on MQTT 3.1.1.
    :param user_properties: MQTT 5 user properties in order; a name may come more than once.
    :param expiry_s: MQTT 5 message expiry interval, s; ``None`` for no expiry.
    """

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
    content_type: str | None = None
    user_properties: tuple[tuple[str, str], ...] = ()
    expiry_s: int | None = None

    def user_property(self, name: str) -> str | None:
        """The first user property called ``name``, or ``None``."""
        return next((value for key, value in self.user_properties if key == name), None)
