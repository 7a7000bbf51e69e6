"""Fixtures of the integration tests: one broker of each kind for a module, and clients that are closed in the end."""

from __future__ import annotations

from contextlib import ExitStack
from itertools import count
from typing import TYPE_CHECKING

import pytest

from allye_demo.broker import Broker, BrokerKind
from tests.integration.brokers import Client, running_broker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_names = count()


@pytest.fixture(scope="module", params=list(BrokerKind))
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """A broker that the tests of a module share."""
    with running_broker(request.param) as running:
        yield running


@pytest.fixture
def connect(broker: Broker) -> Iterator[Callable[..., Client]]:
    """Makes clients of the shared broker."""
    with ExitStack() as stack:

        def make(client_id: str, *filters: str, **settings: object) -> Client:
            client = Client(broker, client_id, **settings)
            stack.callback(client.transport.close, 0.5)
            client.open(*filters)
            return client

        yield make


@pytest.fixture
def unique() -> str:
    """A name that no other test has: brokers remember sessions and retained messages."""
    return f"t{next(_names)}"
