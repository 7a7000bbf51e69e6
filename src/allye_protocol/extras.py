"""Optional parts: what an import says when the packages of an extra are not installed."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["require"]


def require(module: str, extra: str) -> ModuleType:
    """Import a module that belongs to an extra.

    :param module: the full name of the module.
    :param extra: the extra of this distribution that installs it.
    :raises ImportError: with the pip command to run, when it is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        # A module that is there and misses something of its own is another fault, and keeps its own message.
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        command = f'pip install "allye-protocol[{extra}]"'
        raise ImportError(f"{module.partition('.')[0]} is not installed: run {command}", name=error.name) from error
