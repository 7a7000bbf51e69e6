"""Who gets what at the in-process broker: subscriptions, groups that share one, and retained messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from allye_protocol.matching import Matcher, matches, split_share
from allye_protocol.transport.memory_session import Message, Session, Share

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Routing"]


class Routing:
    """The subscriptions of every session, and the last retained message of every topic."""

    def __init__(self) -> None:
        self.retained: dict[str, Message] = {}
        self._subscribers: Matcher[Session | Share] = Matcher()
        self._shares: dict[tuple[str, str], Share] = {}

    def retain(self, message: Message) -> None:
        """Keep a message for who comes later; an empty one clears its topic."""
        if message.is_empty:
            self.retained.pop(message.topic, None)
        else:
            self.retained[message.topic] = message

    def subscribe(self, session: Session, topic_filter: str) -> list[Message]:
        """Add a subscription.

        :returns: the retained messages that it gets; none for one that the session has already, and for a shared one.
        """
        if topic_filter in session.filters:
            return []
        session.filters.add(topic_filter)
        group, pattern = split_share(topic_filter)
        if group is not None:
            if (group, pattern) not in self._shares:
                self._shares[group, pattern] = Share()
                self._subscribers.add(pattern, self._shares[group, pattern])
            self._shares[group, pattern].members.append(session)
            return []
        self._subscribers.add(pattern, session)
        return [message for topic, message in self.retained.items() if matches(pattern, topic)]

    def forget(self, session: Session) -> None:
        """Drop everything that a session subscribed to."""
        for topic_filter in session.filters:
            group, pattern = split_share(topic_filter)
            if group is None:
                self._subscribers.remove(pattern, session)
                continue
            share = self._shares[group, pattern]
            share.members.remove(session)
            if not share.members:
                self._subscribers.remove(pattern, share)
                del self._shares[group, pattern]

    def receivers(self, topic: str, now: float) -> Iterator[Session]:
        """The sessions that get a message, one of each group; some may have ended.

        :param topic: the message's topic.
        :param now: the time, s.
        """
        served: set[int] = set()
        for subscriber in list(self._subscribers.match(topic)):
            # A share's message is its own: a member that is also subscribed by itself gets both.
            session = subscriber.pick(now) if isinstance(subscriber, Share) else subscriber
            if session is not None and id(subscriber) not in served:
                served.add(id(subscriber))
                yield session
