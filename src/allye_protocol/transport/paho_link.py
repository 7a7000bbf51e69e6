"""One connection to a broker through paho: made, used once, thrown away.

What paho does on its own is kept from happening here:

1. A paho client is used for one connection only. So it never queues what is published while offline, never sends again what the
   outbox will send again, and cannot acknowledge a message on another connection than the one that delivered it.
2. Callbacks only note what happened. An exception in one would end paho's own thread in silence; there is no such thread, the
   loop is :meth:`Link.run`, and what leaves it ends the connection with its reason.
3. The loop is paho's interface for foreign event loops with this module's own selector: no limit of 1,024 descriptors, and
   every inbound byte is seen, which is what the watchdog looks at.
4. The DUP flag is not looked at: it is set on first deliveries and missing on repeated ones.
"""

from __future__ import annotations

import selectors
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from allye_protocol.errors import ErrorCode, TransportError
from allye_protocol.extras import require
from allye_protocol.frame import Frame
from allye_protocol.matching import check_name
from allye_protocol.transport.base import Connected, Published, Received
from allye_protocol.transport.packet import check_packet_size
from allye_protocol.transport.paho_client import connect, frame_properties, new_client, subscribe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from paho.mqtt import client as mqtt
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

    from allye_protocol.transport.mailbox import Mailbox
    from allye_protocol.transport.options import MqttOptions
else:
    mqtt = require("paho.mqtt.client", "mqtt")
    PacketTypes = require("paho.mqtt.packettypes", "mqtt").PacketTypes

__all__ = ["Link"]

_SILENCE: Final = 1.5
"""How many keepalives without an inbound packet end a connection (MQTT 5 section 3.1.2.10 gives the broker the same)."""
_MID_BITS: Final = 16
_NO_MATCHING_SUBSCRIBERS: Final = 0x10


class Link:
    """One connection.

    :param options: where to and as whom.
    :param number: the number of this connection.
    :param subscriptions: topic filters.
    :param mailbox: where events go.
    :param resubscribe: subscribe also when the broker kept the session: its subscriptions may be those of an older release.
    :param max_inflight: how many publishes may wait for their answer.
    """

    def __init__(
        self,
        options: MqttOptions,
        number: int,
        subscriptions: Sequence[str],
        mailbox: Mailbox,
        *,
        resubscribe: bool,
        max_inflight: int,
    ) -> None:
        self._options = options
        self._number = number
        self._subscriptions = subscriptions
        self._resubscribe = resubscribe
        self._mailbox = mailbox
        self._mqtt5 = options.protocol == "5"
        self._reason = ""
        self._session_present = False
        self._held: list[Received] = []
        self._unacknowledged: dict[int, Received] = {}
        self._stored: set[int] = set()
        self._acknowledging = threading.Lock()
        self._publishing = threading.Lock()
        self._sent = 0
        self._answered = 0
        self._max_packet_bytes = options.max_packet_bytes
        self._finish_by_s: float | None = None
        self._dropped = False
        self._waker, self._wakee = socket.socketpair()
        self._waker.setblocking(False)  # noqa: FBT003 the standard library's own signature
        self._wakee.setblocking(False)  # noqa: FBT003 the standard library's own signature
        self.ready_at_s: float | None = None
        """When the connection was ready for publishing, on the monotonic clock; ``None`` before."""
        self.ended = False
        self.paused = False
        """Whether reading has stopped because too many events are unread."""
        self.max_inflight = max_inflight
        """How many publishes may wait for their answer; lower than before once the broker said so."""
        self._client = new_client(options, max_inflight)
        self._listen()

    # Called from any thread

    @property
    def ready(self) -> bool:
        """Whether a publish can succeed now."""
        return self.ready_at_s is not None and not self.ended

    def publish(self, frame: Frame) -> int:
        """See :meth:`allye_protocol.transport.base.Transport.publish`."""
        check_packet_size(frame, self._max_packet_bytes, mqtt5=self._mqtt5)
        properties = frame_properties(frame, PacketTypes.PUBLISH) if self._mqtt5 else None
        with self._publishing:
            if not self.ready:
                raise TransportError(ErrorCode.TRANSPORT_NOT_CONNECTED, "the connection has ended")
            info = self._client.publish(check_name(frame.topic), frame.payload, frame.qos, frame.retain, properties)
            if info.rc != mqtt.MQTT_ERR_SUCCESS:
                raise TransportError(ErrorCode.TRANSPORT_NOT_CONNECTED, f"not sent: {mqtt.error_string(info.rc)}")
            self._sent += 1
        self.wake()
        return self._token(info.mid)

    def acknowledge(self, received: Received) -> bool:
        """See :meth:`allye_protocol.transport.base.Transport.acknowledge`."""
        if received.connection != self._number or self.ended:
            return False
        with self._acknowledging:
            if self._unacknowledged.get(received.packet) is received:
                self._stored.add(received.packet)
            # In the order of arrival (MQTT-4.6.0-2), and once: the broker may use an identifier again right after.
            while self._unacknowledged and (packet := next(iter(self._unacknowledged))) in self._stored:
                qos = self._unacknowledged.pop(packet).frame.qos
                self._stored.remove(packet)
                self._client.ack(packet, qos)
                self.wake()
        return True

    def finish(self, timeout_s: float) -> None:
        """End the connection cleanly, once every publish is answered or the time is up."""
        self._finish_by_s = time.monotonic() + timeout_s
        self.wake()

    def wake(self) -> None:
        """Make the loop look again at what there is to do."""
        try:
            self._waker.send(b"\0")
        except OSError:
            # Full: it will wake anyway. Closed: there is nothing left to do.
            return

    # The network thread

    def run(self) -> str:
        """Connect, and stay connected.

        :returns: why it ended.
        """
        try:
            if self._connect():
                self._loop(self._client.socket())
        finally:
            self.ended = True
            for each in (self._client.socket(), self._waker, self._wakee):
                if each is not None:
                    each.close()
        return self._reason or "connection lost"

    def _connect(self) -> bool:
        try:
            connect(self._client, self._options)
        except (OSError, ValueError) as error:
            self._reason = f"cannot connect to {self._options.host}:{self._options.port}: {error}"
            return False
        return True

    def _loop(self, sock: Any) -> None:
        options, client = self._options, self._client
        tick_s = min(1.0, options.keepalive_s / 4, options.connect_timeout_s)
        started_s = inbound_s = time.monotonic()
        interest = 0
        with selectors.DefaultSelector() as selector:
            selector.register(self._wakee, selectors.EVENT_READ)
            while client.socket() is not None and not self._dropped:
                self.paused = len(self._mailbox) >= options.receive_maximum
                wanted = (0 if self.paused else selectors.EVENT_READ) | (selectors.EVENT_WRITE if client.want_write() else 0)
                interest = _change_interest(selector, sock, interest, wanted)
                buffered = not self.paused and options.tls is not None and sock.pending() > 0
                happened = {key.fileobj: mask for key, mask in selector.select(0 if buffered else self._patience_s(tick_s))}
                if self._wakee in happened:
                    self._wakee.recv(4096)
                now_s = time.monotonic()
                mask = happened.get(sock, 0)
                if self.paused:
                    inbound_s = now_s
                elif buffered or mask & selectors.EVENT_READ:
                    inbound_s = now_s
                    client.loop_read()
                if mask & selectors.EVENT_WRITE and client.socket() is not None:
                    client.loop_write()
                client.loop_misc()
                if self.ready_at_s is None and now_s - started_s > 2 * options.connect_timeout_s:
                    self._drop("the broker did not answer in time")
                elif now_s - inbound_s > _SILENCE * options.keepalive_s:
                    self._drop(f"nothing received for {now_s - inbound_s:.0f} s")
                if self._finished(now_s):
                    return

    def _patience_s(self, tick_s: float) -> float:
        return tick_s if self._finish_by_s is None else min(tick_s, max(0.0, self._finish_by_s - time.monotonic()))

    def _finished(self, now_s: float) -> bool:
        """Begin or complete the clean end, when one is wanted; whether to stop waiting for it."""
        if self._finish_by_s is None:
            return False
        overdue = now_s >= self._finish_by_s
        if not self._reason and (overdue or self.ready_at_s is None or self._answered >= self._sent):
            self._reason = "closed"
            self._client.disconnect()
            self._client.loop_write()
        return overdue

    def _drop(self, reason: str) -> None:
        """End the connection without a DISCONNECT, so that the broker publishes the will."""
        self._reason = self._reason or reason
        self._dropped = True

    def _listen(self) -> None:
        client = self._client
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_disconnect = self._on_disconnect
        # Its being there tells paho to leave all writing to this module's loop.
        client.on_socket_register_write = lambda *_: None

    # paho's callbacks, all in the network thread

    def _on_connect(
        self, client: mqtt.Client, _: Any, flags: mqtt.ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._reason = f"refused by the broker: {reason}"
            return
        self._session_present = flags.session_present
        limit = getattr(properties, "MaximumPacketSize", None)
        if limit is not None:
            self._max_packet_bytes = min(limit, self._max_packet_bytes or limit)
        window = getattr(properties, "ReceiveMaximum", self.max_inflight)
        if window < self.max_inflight:
            # paho ignores the broker's limit and fixes its own before it connects; above the limit the broker would disconnect.
            self._reason = f"the broker takes {window} publishes at once: connecting again with that"
            self.max_inflight = window
            client.disconnect()
            return
        resubscribe = bool(self._subscriptions) and (self._resubscribe or not self._session_present)
        if resubscribe:
            subscribe(client, self._subscriptions, mqtt5=self._mqtt5)
        if self._session_present or not resubscribe:
            # A kept session delivers at once, and some brokers answer the SUBSCRIBE only after what they have under way is
            # acknowledged.
            self._become_ready()

    def _on_subscribe(
        self, _client: mqtt.Client, _: Any, _mid: int, reasons: list[ReasonCode], _properties: Properties | None
    ) -> None:
        refused = [f"{each} ({why})" for each, why in zip(self._subscriptions, reasons, strict=False) if why.is_failure]
        if refused:
            self._drop(f"subscription refused: {', '.join(refused)}")
        elif self.ready_at_s is None:
            self._become_ready()

    def _become_ready(self) -> None:
        self.ready_at_s = time.monotonic()
        self._mailbox.post(Connected(session_present=self._session_present, max_packet_bytes=self._max_packet_bytes))
        # A retained message may overtake the SUBACK; whoever waits learns of the connection first.
        for received in self._held:
            self._mailbox.post(received)
        self._held.clear()

    def _on_message(self, _client: mqtt.Client, _: Any, message: mqtt.MQTTMessage) -> None:
        properties = message.properties
        frame = Frame(
            topic=message.topic,
            payload=bytes(message.payload),
            qos=message.qos,
            retain=message.retain,
            content_type=getattr(properties, "ContentType", None),
            user_properties=tuple(getattr(properties, "UserProperty", ())),
            expiry_s=getattr(properties, "MessageExpiryInterval", None),
        )
        received = Received(frame=frame, connection=self._number, packet=message.mid if message.qos else 0)
        if message.qos:
            with self._acknowledging:
                self._unacknowledged[message.mid] = received
        if self.ready_at_s is None:
            self._held.append(received)
        else:
            self._mailbox.post(received)

    def _on_publish(self, _client: mqtt.Client, _: Any, mid: int, reason: ReasonCode, _properties: Properties | None) -> None:
        self._answered += 1
        unheard = reason.value == _NO_MATCHING_SUBSCRIBERS
        published = Published(token=self._token(mid), accepted=not reason.is_failure, unheard=unheard, reason=str(reason))
        self._mailbox.post(published)

    def _on_disconnect(
        self, _client: mqtt.Client, _: Any, flags: mqtt.DisconnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        who = "by the broker" if flags.is_disconnect_packet_from_server else "connection lost"
        self._reason = self._reason or f"{who}: {reason}"

    def _token(self, mid: int) -> int:
        # A packet identifier is free again only after its answer, so the pair is unique among what is under way.
        return self._number << _MID_BITS | mid


def _change_interest(selector: selectors.BaseSelector, sock: Any, interest: int, wanted: int) -> int:
    if interest != wanted:
        if interest:
            selector.unregister(sock)
        if wanted:
            selector.register(sock, wanted)
    return wanted
