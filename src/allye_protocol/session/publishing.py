"""How a delivery becomes a frame: in the version and encoding that its device speaks now.

1. The agreement is made anew from the device's newest hello whenever it is asked for; nothing of it is kept.
2. What is stored is of the newest version. It is converted when it is sent, so a device that changes what it speaks gets what
   waits for it in what it speaks then.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

from allye_protocol import topics
from allye_protocol.codec import content_types_of
from allye_protocol.convert import encode
from allye_protocol.delivery import STORED_CONTENT_TYPE, Delivery, message_of
from allye_protocol.errors import EncodeError, StoreError
from allye_protocol.frame import Frame
from allye_protocol.messages import NEWEST
from allye_protocol.messages.registry import CHANNEL_OF
from allye_protocol.negotiation import Agreement, agreement_with
from allye_protocol.tracing import RandomBytes, TraceContext

if TYPE_CHECKING:
    from datetime import datetime

    from allye_protocol.messages import Hello
    from allye_protocol.session.cloud_config import CloudConfig
    from allye_protocol.signing import FrameSigner

__all__ = ["Publishing", "written"]

_LONGEST_EXPIRY_S: Final = 0xFFFF_FFFF
"""MQTT 5 section 3.3.2.3.3: four bytes."""


def written(delivery: Delivery, agreement: Agreement) -> bytes:
    """The payload of a delivery as a device reads it.

    :raises EncodeError: ``version.downgrade_loses`` with the path of what the version cannot say.
    :raises StoreError: ``store.corrupt``.
    """
    if agreement == Agreement(version=NEWEST, content_type=STORED_CONTENT_TYPE):
        return delivery.payload
    return encode(message_of(delivery), agreement.content_type, version=agreement.version)


class Publishing:
    """The making of frames.

    :param config: the topics' root, and what the cloud speaks.
    :param random_bytes: where trace ids come from.
    :param signer: what signs schedules and cancels; ``None`` to leave them unsigned.
    """

    def __init__(self, config: CloudConfig, random_bytes: RandomBytes, signer: FrameSigner | None) -> None:
        self._config: Final = config
        self._random_bytes: Final = random_bytes
        self._signer: Final = signer

    def agreement(self, hello: Hello | None) -> Agreement:
        """What to speak with a device.

        :param hello: its newest one, if it has said one.
        :raises NegotiationError: as :func:`allye_protocol.negotiation.agreement_with`.
        """
        return agreement_with(hello, self._config.offer)

    def frame(self, delivery: Delivery, agreement: Agreement, now: datetime) -> Frame:
        """A delivery as a frame.

        :raises EncodeError: as :func:`written`.
        :raises StoreError: as :func:`written`.
        :raises AllyeError: what the signer raises.
        """
        payload, channel = written(delivery, agreement), CHANNEL_OF[delivery.kind]
        row = topics.CHANNELS[channel]
        trace = TraceContext.parse(delivery.traceparent) or TraceContext.start(self._random_bytes)
        signature = () if self._signer is None else self._signer.sign(delivery.kind, delivery.device_id, payload)
        return Frame(
            topic=topics.build(delivery.device_id, channel, self._config.root),
            payload=payload,
            qos=row.qos,
            retain=row.retained,
            content_type=agreement.content_type,
            user_properties=(*trace.child(self._random_bytes).user_properties(), *signature),
            # What waited at the broker until its time was over is of no use to anyone.
            expiry_s=min(max(1, int((delivery.until - now).total_seconds())), _LONGEST_EXPIRY_S),
        )

    def agreement_of(self, delivery: Delivery, reference: str) -> Agreement | None:
        """The agreement under which the payload of a delivery has a SHA-256, if there is one.

        :param reference: the SHA-256, 64 lower-case hex digits.
        """
        for version in self._config.offer.versions:
            for content_type in content_types_of(version):
                agreement = Agreement(version=version, content_type=content_type)
                try:
                    payload = written(delivery, agreement)
                except (EncodeError, StoreError):
                    continue
                if sha256(payload).hexdigest() == reference:
                    return agreement
        return None
