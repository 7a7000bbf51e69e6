"""Whether a device may take a frame: who it is for, what it says, in which version, and who signed it.

1. Nothing that a peer sends raises here. What is not taken is answered, kept for diagnosis, or told as a security alert.
2. The order is the protocol's: the address on the envelope, the encoding and its rules, the address inside, the version, the
   signature. What is said to another device is answered on this device's own topic only, and at most once a minute.
3. An answer to what is not taken names the schedule only where the signature holds, or none is needed.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from allye_protocol import codec, topics
from allye_protocol.codec.peek import peek
from allye_protocol.convert import upgrade
from allye_protocol.errors import DecodeError, ErrorCode, Problem, TopicError
from allye_protocol.events import DeviceEvent, ScheduleRefused, SecurityAlert
from allye_protocol.messages import Cancel, Kind, Schedule
from allye_protocol.messages.registry import BY_TYPE, CHANNEL_OF
from allye_protocol.negotiation import Agreement
from allye_protocol.session.instants import is_over
from allye_protocol.tracing import RandomBytes, TraceContext

if TYPE_CHECKING:
    from allye_protocol.frame import Frame
    from allye_protocol.messages import Hello
    from allye_protocol.session.answers import Answers
    from allye_protocol.signing import FrameVerifier

__all__ = ["Heard", "Reception"]

ALERT_INTERVAL: Final = timedelta(seconds=60)
_KIND_ON: Final = {CHANNEL_OF[kind]: kind for kind in (Kind.SCHEDULE, Kind.CANCEL)}


class Heard(NamedTuple):
    """What the cloud said to this device.

    :param message: in the newest version.
    :param agreement: the version and encoding that it came in.
    :param trace: the trace that it belongs to.
    """

    message: Schedule | Cancel
    agreement: Agreement
    trace: TraceContext


class Reception:
    """The ear of one device.

    :param hello: whose, and which versions it speaks.
    :param root: the topics' root.
    :param answers: how refusals are said.
    :param random_bytes: where trace ids come from.
    :param verifier: what signatures are checked by; ``None`` checks none.
    """

    def __init__(
        self, hello: Hello, root: str, answers: Answers, random_bytes: RandomBytes, verifier: FrameVerifier | None
    ) -> None:
        self._device_id: Final = hello.device_id
        self._versions: Final = hello.versions
        self._root: Final = root
        self._answers: Final = answers
        self._random_bytes: Final = random_bytes
        self._verifier: Final = verifier
        self._believes_all: Final = verifier is None
        self._alerted_at: datetime | None = None

    def read(self, frame: Frame, now: datetime, *, clock_trusted: bool) -> Heard | list[DeviceEvent]:
        """What a frame says, or what became of one that is not taken.

        :param now: the device's time.
        :param clock_trusted: whether ``now`` can be relied on: keys are valid from and until an instant.
        :raises StoreError: a refusal was not stored.
        """
        try:
            topic = topics.parse(frame.topic, self._root)
        except TopicError as error:
            return self._refuse(frame, error.problem, now, by_id=self._believes_all)
        if topic.device_id != self._device_id:
            return self._alert(frame, f"the topic names device {topic.device_id}", now)
        kind = _KIND_ON.get(topic.channel)
        if kind is None:
            message = f"this device takes nothing on channel {topic.channel}"
            problem = Problem(code=ErrorCode.MESSAGE_UNKNOWN_KIND, message=message)
            return self._refuse(frame, problem, now, by_id=self._believes_all)
        try:
            written = codec.decode(frame.payload, kind, frame.content_type)
        except DecodeError as error:
            named = peek(frame.payload).device_id
            if named is not None and named != self._device_id:
                return self._alert(frame, f"the message names device {named}", now)
            return self._refuse(
                frame, error.problem, now, by_id=self._unsigned(frame, kind, now if clock_trusted else None) is None
            )
        received, version = upgrade(written), BY_TYPE[type(written)].version
        assert isinstance(received, (Schedule, Cancel))  # noqa: S101 - the channel says so; for the type checker
        if received.device_id != self._device_id:
            return self._alert(frame, f"the message names device {received.device_id}", now)
        unsigned = self._unsigned(frame, kind, now if clock_trusted else None)
        if version not in self._versions:
            return self._refuse(frame, _not_spoken(version, self._versions), now, by_id=unsigned is None)
        if unsigned is not None:
            return [SecurityAlert(topic=frame.topic, problem=unsigned), *self._refuse(frame, unsigned, now, by_id=False)]
        agreement = Agreement(version=version, content_type=codec.content_type_of(frame.payload, frame.content_type))
        return Heard(received, agreement, TraceContext.from_frame(frame, self._random_bytes, received.trace_id))

    def _unsigned(self, frame: Frame, kind: Kind, now: datetime | None) -> Problem | None:
        """Why the bytes are not believed to be the cloud's, if they are not."""
        return None if self._verifier is None else self._verifier.check(frame, kind, self._device_id, now)

    def _refuse(self, frame: Frame, problem: Problem, now: datetime, *, by_id: bool) -> list[DeviceEvent]:
        """Keep the head of what could not be read, and answer FAILED unless too many were answered just now."""
        reference, trace = self._answers.refuse(frame, problem, now, by_id=by_id)
        return [ScheduleRefused(reference=reference, problem=problem, trace_id=trace.trace_id)]

    def _alert(self, frame: Frame, what: str, now: datetime) -> list[DeviceEvent]:
        """A message for another device."""
        problem = Problem(code=ErrorCode.MESSAGE_WRONG_DEVICE, message=f"{what}; this is {self._device_id}")
        if is_over(self._alerted_at, ALERT_INTERVAL, now):
            self._answers.refuse(frame, problem, now, by_id=self._believes_all)
            self._alerted_at = now
        return [SecurityAlert(topic=frame.topic, problem=problem)]


def _not_spoken(version: int, spoken: tuple[int, ...]) -> Problem:
    supported = sorted(spoken)
    message = f"version {version} is not spoken by this device; it speaks {', '.join(map(str, supported))}"
    return Problem(
        code=ErrorCode.VERSION_UNSUPPORTED, message=message, path="/version", details={"supported_versions": supported}
    )
