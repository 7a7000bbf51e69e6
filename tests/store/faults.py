"""A store that fails when it is told to: what a full disk and a broken one look like from above."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from allye_protocol.errors import ErrorCode, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from allye_protocol.store import DeviceStore

__all__ = ["failing_store"]


def failing_store(store: DeviceStore, fails: Callable[[str], bool]) -> Any:
    """Any store, with calls that fail; see :class:`_FailingStore`. It has a store's methods without declaring them."""
    return _FailingStore(store, fails)


class _FailingStore:
    """Any store, with calls that fail.

    :param store: the store behind.
    :param fails: asked before every call, with its name; ``begin`` and ``commit`` for a transaction's ends.
    """

    def __init__(self, store: DeviceStore, fails: Callable[[str], bool]) -> None:
        self._store = store
        self._fails = fails

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self._ask("begin")
        with self._store.transaction():
            yield
            self._ask("commit")

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self._ask(name)
            return method(*args, **kwargs)

        return call

    def _ask(self, name: str) -> None:
        if self._fails(name):
            raise StoreError(ErrorCode.STORE_FAILED, f"told to fail at {name}")
