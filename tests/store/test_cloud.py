"""The cloud's store in memory keeps the contract of all cloud stores."""

from __future__ import annotations

import pytest

from allye_protocol.store.cloud import MemoryCloudStore
from tests.builders import NOON, ack, event, result
from tests.store.cloud_contract import CloudStoreContract, delivery


class TestMemoryCloudStore(CloudStoreContract):
    @pytest.fixture
    def store(self) -> MemoryCloudStore:
        return MemoryCloudStore()


def test_it_shows_what_it_holds_in_the_order_of_arrival() -> None:
    store = MemoryCloudStore()
    for name in ("b", "a"):
        store.put_delivery(delivery(name))
        store.keep_ack(ack(name), NOON)
        store.keep_event(event(name=name), NOON)
    store.keep_result(result(), NOON)
    assert [one.schedule_id for one in store.deliveries] == ["b", "a"]
    assert [one.schedule_id for one in store.acks] == ["b", "a"]
    assert [one.schedule_id for one in store.events] == ["b", "a"]
    assert store.results == [result()]
