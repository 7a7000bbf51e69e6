r"""What a JSON Schema can say about ids and instants beyond what the structs check while they parse.

These are members of the published schemas only: the decoder checks ids and instants itself, faster than any regular expression.

1. The patterns keep to what every JSON Schema implementation reads alike (JSON Schema core, section 6.4): no look-around, no
   ``\d`` (which is any Unicode digit to some), no flags.
2. In some engines, Python's among them, ``$`` also matches before a trailing newline. So each pattern comes with a ``not`` that
   finds any character outside the alphabet, wherever it stands; ``type`` keeps that ``not`` away from ``null``.
3. A pattern never refuses what the decoder takes.
"""

from __future__ import annotations

from typing import Any, Final

__all__ = ["CODE_SCHEMA", "DIGEST_SCHEMA", "ID_SCHEMA", "INSTANT_SCHEMA", "SLOT_SCHEMA", "grid_pattern"]

_DATE: Final = "(1969|19[7-9][0-9]|2[01][0-9][0-9]|2200)-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_HOUR: Final = "([01][0-9]|2[0-3])"
_FRACTION: Final = r"(\.[0-9]+)?"
_OFFSET: Final = "[+-]([01][0-9]|2[0-3]):?[0-5][0-9]"


def _text(pattern: str, alphabet: str, **others: str) -> dict[str, Any]:
    return {"pattern": f"^{pattern}$", "not": {"type": "string", "pattern": f"[^{alphabet}]"}, **others}


ID_SCHEMA: Final = _text("[A-Za-z0-9_-]{1,64}", "A-Za-z0-9_-")
"""An id: 1 to 64 characters of ``[A-Za-z0-9_-]``, matched in full."""

INSTANT_SCHEMA: Final = _text(f"{_DATE}[Tt ]{_HOUR}:[0-5][0-9]:[0-5][0-9]{_FRACTION}([Zz]|{_OFFSET})", "0-9TtZz:.+ -")
"""An RFC 3339 time with an offset. 1969 and 2200 are there for the hours in which an offset carries them into the bounds."""

SLOT_SCHEMA: Final = _text(
    f"{_DATE}[Tt ]{_HOUR}:(([03]0:00|[25]9:59){_FRACTION}[Zz]|[0-5][0-9]:(00|59){_FRACTION}{_OFFSET})",
    "0-9TtZz:.+ -",
    **{
        "$comment": (
            "A time in Z is on :00 or :30; with another offset the receiver works it out. :29:59 and :59:59 are here for "
            "fractions that round up to the half-hour at the next microsecond."
        )
    },
)
"""The same on a UTC half-hour, as far as a pattern can say so."""


def grid_pattern(whole: str, just_before: str) -> str:
    """An instant on a UTC grid, as far as a pattern can say so.

    :param whole: matches the minutes of the grid.
    :param just_before: matches the minute before each of them: at second 59, a fraction may round up to the next microsecond.
    :returns: a pattern that looks at the minute of a time in Z only; of another offset the receiver works it out.
    """
    utc = f"(({whole}):00|({just_before}):59){_FRACTION}[Zz]"
    elsewhere = f"[0-5][0-9]:(00|59){_FRACTION}{_OFFSET}"
    return f"^{_DATE}[Tt ]{_HOUR}:({utc}|{elsewhere})$"


DIGEST_SCHEMA: Final = _text("[0-9a-f]{64}", "0-9a-f")
"""A SHA-256: 64 lower-case hex digits."""

CODE_SCHEMA: Final = _text("[a-z_]+[.][a-z_]+", "a-z_.")
"""An error code: ``class.name``."""
