"""A broker that does exactly what a test tells it to, and writes down every packet that it gets.

Real brokers behave; the transport must also stand those that refuse, fall silent or talk nonsense.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    import ssl

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, PINGREQ, PINGRESP, DISCONNECT = 1, 2, 3, 4, 8, 9, 12, 13, 14


class Packet(NamedTuple):
    """One packet of the client: on which connection, of which type, with which flags, and the rest."""

    connection: int
    kind: int
    flags: int
    body: bytes

    @property
    def mid(self) -> int:
        """The packet identifier of a SUBSCRIBE, PUBACK or QoS 1 PUBLISH."""
        at = 2 + struct.unpack("!H", self.body[:2])[0] if self.kind == PUBLISH else 0
        mid: int = struct.unpack("!H", self.body[at : at + 2])[0]
        return mid


class Peer:
    """One client's connection, from the broker's side."""

    def __init__(self, number: int, sock: socket.socket, packets: SimpleQueue[Packet]) -> None:
        self.number = number
        self.sock = sock
        self._packets = packets
        self._reader = sock.makefile("rb")

    def read(self) -> Packet:
        """The next packet; EOFError when the client is gone."""
        first = self._reader.read(1)
        if not first:
            raise EOFError
        length = shift = 0
        while True:
            (byte,) = self._reader.read(1)
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        packet = Packet(self.number, first[0] >> 4, first[0] & 0x0F, self._reader.read(length))
        self._packets.put(packet)
        return packet

    def send(self, kind: int, body: bytes = b"", flags: int = 0) -> None:
        """Send one packet (of less than 16 KiB)."""
        size = len(body)
        length = bytes([size]) if size < 128 else bytes([size & 0x7F | 0x80, size >> 7])
        self.sock.sendall(bytes([kind << 4 | flags]) + length + body)

    def accept(self, *, session_present: bool = False, properties: bytes = b"") -> None:
        """Read the CONNECT and accept it."""
        assert self.read().kind == CONNECT
        self.send(CONNACK, bytes([session_present, 0, len(properties)]) + properties)

    def grant(self, reason: int = 1) -> None:
        """Read the SUBSCRIBE of one filter and answer it."""
        packet = self.read()
        assert packet.kind == SUBSCRIBE
        self.send(SUBACK, struct.pack("!HBB", packet.mid, 0, reason))

    def publish(self, topic: str, payload: bytes, mid: int = 0, properties: bytes = b"") -> None:
        """Deliver a message, QoS 1 with a packet identifier, else QoS 0."""
        head = struct.pack("!H", len(topic)) + topic.encode() + (struct.pack("!H", mid) if mid else b"")
        self.send(PUBLISH, head + bytes([len(properties)]) + properties + payload, flags=2 if mid else 0)

    def serve(self) -> None:
        """Answer pings, and nothing else, until the client is gone."""
        while True:
            if self.read().kind == PINGREQ:
                self.send(PINGRESP)


Script = Callable[[Peer], None]


class ScriptedBroker:
    """Listens on a free port; each connection gets the next script, the last one all further connections.

    A connection is closed when its script returns.
    """

    def __init__(self, *scripts: Script, tls: ssl.SSLContext | None = None) -> None:
        self._scripts = list(scripts)
        self._tls = tls
        self._packets: SimpleQueue[Packet] = SimpleQueue()
        self.failures: list[BaseException] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._acceptor = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._acceptor.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join(5)
        for sock in self._sockets:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        assert self.failures == []

    def next_packet(self, kind: int, timeout_s: float = 10) -> Packet:
        """The next packet of a kind that any client sent; others before it are passed over."""
        while (packet := self._packets.get(timeout=timeout_s)).kind != kind:
            pass
        return packet

    def packets(self) -> list[Packet]:
        """All packets that nobody has asked for."""
        found = []
        with suppress(Empty):
            while True:
                found.append(self._packets.get_nowait())
        return found

    def _accept(self) -> None:
        number = 0
        with suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                script = self._scripts[min(number, len(self._scripts) - 1)]
                number += 1
                self._sockets.append(sock)
                thread = threading.Thread(target=self._run, args=(script, number, sock), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _run(self, script: Script, number: int, sock: socket.socket) -> None:
        try:
            with self._tls.wrap_socket(sock, server_side=True) if self._tls else sock as stream:
                peer = Peer(number, stream, self._packets)
                with suppress(OSError, EOFError, ValueError):
                    script(peer)
                peer._reader.close()
        except OSError:
            sock.close()
        except AssertionError as failure:
            self.failures.append(failure)
