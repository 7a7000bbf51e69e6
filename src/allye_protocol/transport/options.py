"""How to reach a broker, and as whom."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Literal

import msgspec

from allye_protocol.transport.base import Will

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["MqttOptions", "tls_context"]

_SECONDS_A_DAY = 86_400


class MqttOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about a connection that is not code.

    :param host: name or address of the broker.
    :param port: its TCP port.
    :param client_id: the name of the session; for a device its device id.
    :param protocol: the MQTT version. 3.1.1 has no content type, user properties, expiry or reasons.
    :param username: for brokers that want one.
    :param password: goes with it; never shown.
    :param tls: the TLS context (:func:`tls_context` makes one); ``None`` for a plain connection.
    :param will: what the broker publishes when this client is lost. A function is called at every connection, by the
        transport's own thread.
    :param clean_start: forget the session of before. Leave it off: what was queued for this client would be lost.
    :param session_expiry_s: how long the broker keeps the session of a client that is away, s.
    :param keepalive_s: longest silence on the connection, s. One and a half times of it without a packet ends the connection.
    :param connect_timeout_s: longest wait for each of the connection's steps (TCP, TLS, CONNACK and SUBACK), s.
    :param receive_maximum: how many messages may wait for their acknowledgement, and how many events may be unread.
    :param max_inflight: how many publishes wait for the broker's answer at once; the broker may want fewer.
    :param max_packet_bytes: a limit on outgoing packets beside the one that an MQTT 5 broker tells, bytes.
    :param reconnect_base_s: upper end of the first delay before connecting again, s.
    :param reconnect_cap_s: upper end of every delay, s.
    :param stable_s: how long a connection lasts until the delays begin anew, s.
    :raises ValueError: for values that no connection can have.
    """

    host: str
    client_id: str
    port: int = 1883
    protocol: Literal["5", "3.1.1"] = "5"
    username: str | None = None
    password: str | None = None
    tls: ssl.SSLContext | None = None
    will: Will = None
    clean_start: bool = False
    session_expiry_s: int = _SECONDS_A_DAY
    keepalive_s: int = 60
    connect_timeout_s: float = 5.0
    receive_maximum: int = 20
    max_inflight: int = 20
    max_packet_bytes: int | None = None
    reconnect_base_s: float = 1.0
    reconnect_cap_s: float = 120.0
    stable_s: float = 60.0

    def __post_init__(self) -> None:
        ranges = {
            "port": (1, 65_535),
            "keepalive_s": (1, 65_535),
            "session_expiry_s": (0, 0xFFFF_FFFF),
            "receive_maximum": (1, 65_535),
            "max_inflight": (1, 65_535),
        }
        for name, (least, most) in ranges.items():
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name} is {least} to {most}, not {getattr(self, name)}")
        if not self.host or not self.client_id:
            raise ValueError("host and client_id are not empty: a session without a name cannot be kept")
        if self.protocol not in ("5", "3.1.1"):
            raise ValueError(f"protocol is '5' or '3.1.1', not {self.protocol!r}")

    def __repr__(self) -> str:
        scheme = "mqtts" if self.tls else "mqtt"
        return f"MqttOptions({scheme}://{self.host}:{self.port}, client_id={self.client_id!r}, protocol={self.protocol!r})"


def tls_context(
    *, cafile: str | Path | None = None, certfile: str | Path | None = None, keyfile: str | Path | None = None
) -> ssl.SSLContext:
    """A TLS context that verifies the broker's certificate and name, TLS 1.2 or later.

    :param cafile: the authorities to trust, PEM; ``None`` for those of the system.
    :param certfile: this client's own certificate, PEM, for brokers that want one.
    :param keyfile: its private key, PEM; ``None`` when it is in ``certfile``.
    :raises OSError: for a file that cannot be read or is none.
    :raises ValueError: for a key without a certificate.
    """
    if keyfile is not None and certfile is None:
        raise ValueError("a keyfile goes with a certfile")
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=cafile)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certfile is not None:
        context.load_cert_chain(certfile, keyfile)
    return context
