"""What can be wrong with the input of the cloud service: one exception tree that says what, where and what to do."""

from __future__ import annotations

__all__ = ["CloudError", "DayError", "PlanError", "PriceError", "RegistryError"]


class CloudError(Exception):
    """The root of every exception that this app raises on purpose."""


class DayError(CloudError):
    """A time zone that is not known, or a local day that does not exist in its zone."""


class PlanError(CloudError):
    """A request that cannot be planned, or a plan that its own proof rejects (a bug)."""


class PriceError(CloudError):
    """A price file or series that cannot be used.

    :param file: the file, or the label of a series that is not from a file.
    :param line: its line, counted from 1; ``None`` where no single line is at fault.
    :param what: what is wrong.
    :param remedy: what to do about it.
    """

    def __init__(self, file: str, line: int | None, what: str, remedy: str) -> None:
        super().__init__(file, line, what, remedy)
        self.file = file
        self.line = line
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{where}: {self.what}; {self.remedy}"


class RegistryError(CloudError):
    """A device registry that cannot be used.

    :param file: the file.
    :param key: the key at fault, as a dotted path (``devices.max300-1.capacity_wh``); empty for the whole file.
    :param what: what is wrong.
    :param remedy: what to do about it.
    """

    def __init__(self, file: str, key: str, what: str, remedy: str) -> None:
        super().__init__(file, key, what, remedy)
        self.file = file
        self.key = key
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        where = f"{self.file}: {self.key}" if self.key else self.file
        return f"{where}: {self.what}; {self.remedy}"
