"""Where a driver's code ends: what leaves it is a value or an :class:`~allye_protocol.errors.AllyeError`, whoever wrote it.

A driver may raise ``DriverError`` alone (:mod:`allye_max300.driver`). One that raises anything else has a bug, which must end
neither the agent nor, after three restarts, a good plan: the battery then counts as one that does not obey.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from allye_protocol.errors import AllyeError, DriverError, ErrorCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import FilteringBoundLogger

__all__ = ["Boundary"]

P = ParamSpec("P")
R = TypeVar("R")


class Boundary:
    """Calls into one driver.

    :param log: where a bug of the driver is said with its traceback, once for each kind of exception.
    """

    def __init__(self, log: FilteringBoundLogger) -> None:
        self._log: Final = log
        self._said: Final[set[type[Exception]]] = set()

    def __call__(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the driver, or something that does.

        :raises AllyeError: the driver's own, unchanged.
        :raises DriverError: for any other exception: ``driver.timeout`` for an ``OSError``, a link that is down;
            ``driver.not_supported`` for a ``NotImplementedError``; else ``driver.rejected``.
        """
        try:
            return call(*args, **kwargs)
        except AllyeError:
            raise
        except Exception as error:
            if type(error) not in self._said:
                self._said.add(type(error))
                self._log.exception("driver_bug", kind=type(error).__name__)
            message = f"the driver raised {type(error).__name__} ({error}), which is a bug in it"
            raise DriverError(_code_of(error), message) from error


def _code_of(error: Exception) -> ErrorCode:
    if isinstance(error, OSError):
        return ErrorCode.DRIVER_TIMEOUT
    return ErrorCode.DRIVER_NOT_SUPPORTED if isinstance(error, NotImplementedError) else ErrorCode.DRIVER_REJECTED
