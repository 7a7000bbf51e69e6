"""The conformance suite: what this protocol means, as data that any implementation can be checked against.

``vectors``
    the data files and what one of their entries is.
``library``
    this library, asked in the terms of the line protocol.
``device``
    a device of this library in a sequence of deliveries.
``program``
    any other implementation: a process that is asked over its standard input and answers on its standard output.
``judging``
    when an answer is the expected one.
``report``
    what a run found.

The line protocol and the format of the files are described in the documentation (decision 22).
"""

from __future__ import annotations

from allye_protocol.conformance.judging import mismatch
from allye_protocol.conformance.library import Library
from allye_protocol.conformance.program import Program
from allye_protocol.conformance.report import Failure, Report, Tally, run
from allye_protocol.conformance.vectors import Section, Vector, load_sections

__all__ = [
    "Failure",
    "Library",
    "Program",
    "Report",
    "Section",
    "Tally",
    "Vector",
    "load_sections",
    "mismatch",
    "run",
]
