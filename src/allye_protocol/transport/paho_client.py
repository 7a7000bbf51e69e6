"""What is said to the broker through paho: the client, its CONNECT, its SUBSCRIBE and a frame's properties.

1. The first connection is not a clean start, so what the broker queued for this client is not thrown away.
2. A ``Properties`` object is made anew for every packet: user properties would append.
3. paho neither connects again nor acknowledges by itself.
4. paho forgets the socket of a failed TLS handshake without closing it; :class:`_Handshake` closes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from allye_protocol.extras import require
from allye_protocol.transport.base import will_of

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Sequence

    from paho.mqtt import client as mqtt
    from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties
    from paho.mqtt.subscribeoptions import SubscribeOptions

    from allye_protocol.frame import Frame
    from allye_protocol.transport.options import MqttOptions
else:
    mqtt = require("paho.mqtt.client", "mqtt")
    CallbackAPIVersion = require("paho.mqtt.enums", "mqtt").CallbackAPIVersion
    MQTTProtocolVersion = require("paho.mqtt.enums", "mqtt").MQTTProtocolVersion
    PacketTypes = require("paho.mqtt.packettypes", "mqtt").PacketTypes
    Properties = require("paho.mqtt.properties", "mqtt").Properties
    SubscribeOptions = require("paho.mqtt.subscribeoptions", "mqtt").SubscribeOptions

__all__ = ["connect", "frame_properties", "new_client", "subscribe"]

_QOS: Final = 1
_RETAINED_FOR_NEW_SUBSCRIPTIONS: Final = 1


def new_client(options: MqttOptions, max_inflight: int) -> mqtt.Client:
    """A paho client for one connection, without callbacks.

    :param options: as whom.
    :param max_inflight: how many publishes may wait for their answer.
    """
    mqtt5 = options.protocol == "5"
    client = mqtt.Client(
        CallbackAPIVersion.VERSION2,
        client_id=options.client_id,
        clean_session=None if mqtt5 else options.clean_start,
        protocol=MQTTProtocolVersion.MQTTv5 if mqtt5 else MQTTProtocolVersion.MQTTv311,
        reconnect_on_failure=False,
        manual_ack=True,
    )
    client.connect_timeout = options.connect_timeout_s
    client.max_inflight_messages = max_inflight
    if options.username is not None:
        client.username_pw_set(options.username, options.password)
    if options.tls is not None:
        client.tls_set_context(cast("ssl.SSLContext", _Handshake(options.tls)))
    will = will_of(options.will)
    if will is not None:
        properties = frame_properties(will, PacketTypes.WILLMESSAGE) if mqtt5 else None
        client.will_set(will.topic, will.payload, will.qos, will.retain, properties)
    return client


def connect(client: mqtt.Client, options: MqttOptions) -> None:
    """Open the connection and prepare its CONNECT.

    :param client: from :func:`new_client`.
    :param options: where to.
    :raises OSError: when the broker cannot be reached, or TLS does not come about.
    :raises ValueError: for a name that is none.
    """
    arguments: dict[str, Any] = {}
    if options.protocol == "5":
        properties = _new_properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = options.session_expiry_s
        properties.ReceiveMaximum = options.receive_maximum
        arguments = {"clean_start": options.clean_start, "properties": properties}
    client.connect(options.host, options.port, options.keepalive_s, **arguments)


def subscribe(client: mqtt.Client, topic_filters: Sequence[str], *, mqtt5: bool) -> None:
    """Subscribe with QoS 1; on MQTT 5 a retained message that came with an earlier subscription does not come again."""
    if mqtt5:
        how = SubscribeOptions(qos=_QOS, retainHandling=_RETAINED_FOR_NEW_SUBSCRIPTIONS)
        client.subscribe([(topic_filter, how) for topic_filter in topic_filters])
    else:
        client.subscribe([(topic_filter, _QOS) for topic_filter in topic_filters])


def frame_properties(frame: Frame, packet_type: int) -> Properties:
    """The MQTT 5 properties of a frame.

    :param frame: the frame.
    :param packet_type: of paho's ``PacketTypes``: a PUBLISH, or the will in a CONNECT.
    """
    properties = _new_properties(packet_type)
    if frame.content_type is not None:
        properties.ContentType = frame.content_type
    if frame.expiry_s is not None:
        properties.MessageExpiryInterval = frame.expiry_s
    if frame.user_properties:
        properties.UserProperty = list(frame.user_properties)
    return properties


class _Handshake:
    """What paho uses of a TLS context; the handshake is complete, or the socket closed, when it gets the socket."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self.check_hostname = context.check_hostname

    def wrap_socket(self, sock: socket.socket, *, server_hostname: str, do_handshake_on_connect: bool) -> ssl.SSLSocket:
        wrapped = self._context.wrap_socket(
            sock, server_hostname=server_hostname, do_handshake_on_connect=do_handshake_on_connect
        )
        try:
            wrapped.do_handshake()
        except BaseException:
            wrapped.close()
            raise
        return wrapped


def _new_properties(packet_type: int) -> Properties:
    return Properties(packet_type)  # type: ignore[no-untyped-call]
