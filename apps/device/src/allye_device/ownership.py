"""One agent to a store: two of them would drive the same battery by one plan, and each undo what the other does.

The kernel keeps the lock, on a file beside the store, and gives it back however its holder ends. The file stays; what counts is
who holds it. It says which process that is, for a person.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from allye_protocol.errors import ErrorCode, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["owned"]


@contextmanager
def owned(store: Path) -> Iterator[None]:
    """Be the only agent on a store.

    :param store: the store's file, which need not be there yet.
    :raises StoreError: ``store.failed`` when another process is its agent, or when the lock cannot be had.
    """
    path = store.with_name(store.name + ".lock")
    try:
        file = path.open("a+", encoding="ascii")
    except OSError as error:
        raise StoreError(ErrorCode.STORE_FAILED, f"cannot lock the store with {path}: {error.strerror}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            message = f"process {holder} is the agent of this store already (it holds {path}): end it, or use another store"
            raise StoreError(ErrorCode.STORE_FAILED, message) from error
        except OSError as error:
            raise StoreError(ErrorCode.STORE_FAILED, f"cannot lock the store with {path}: {error.strerror}") from error
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
