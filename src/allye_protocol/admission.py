"""What an arriving schedule is: new, a repetition, a conflict, stale, too late, beyond this device's limits.

1. :func:`decide` is a pure function of what is stored, the schedule and the time. The rules are the rows of :data:`TABLE`,
   asked from top to bottom; the first that hits decides (PROTOCOL section 5).
2. The order of the rows is the protocol's: a repetition comes before expiry, so that a late retry of an applied schedule still
   gets its APPLIED; who may order the device comes before what the device can do.
3. A rule that compares with the clock does not hit while the clock is not trusted. Such a schedule is refused with
   ``device.clock_untrusted``, which the cloud tries again.
   One that seems to come from the future is refused as ``order.in_future`` and tried again too: one of two clocks is wrong, and
   this device cannot know whose.
4. A setpoint beyond the device's own limit refuses the whole plan. Nothing is clamped.
5. The size, the encoding, the version and the address are checked before, where the bytes are
   (:mod:`allye_protocol.codec`, :mod:`allye_protocol.session.device`).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from allye_protocol.errors import ErrorCode, Problem
from allye_protocol.store.base import Entry, EntryState

if TYPE_CHECKING:
    from collections.abc import Callable

    from allye_protocol.messages import Schedule

__all__ = ["TABLE", "Case", "Decision", "Policy", "Rule", "Verdict", "decide"]

MIN_RETENTION: Final = timedelta(days=1)


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """The device's own configuration of what it admits.

    :param max_charge_w: the device's own limit on charging power, W.
    :param max_discharge_w: the device's own limit on discharging power, W (a positive number).
    :param max_ahead: how far in the future a schedule may start.
    :param max_skew: how far ahead of the device's clock a schedule may have been generated.
    :param retention: how long after its horizon's end a decided id is remembered, at least a day: a copy that comes later than
        that is judged by its order and its horizon alone.
    :raises ValueError: for a value out of its range, naming it.
    """

    max_charge_w: int
    max_discharge_w: int
    max_ahead: timedelta = timedelta(days=8)
    max_skew: timedelta = timedelta(minutes=5)
    retention: timedelta = timedelta(days=14)

    def __post_init__(self) -> None:
        for field, fits, range_ in (
            ("max_charge_w", self.max_charge_w >= 0, "0 or more"),
            ("max_discharge_w", self.max_discharge_w >= 0, "0 or more"),
            ("max_ahead", self.max_ahead > timedelta(0), "more than 0"),
            ("max_skew", self.max_skew >= timedelta(0), "0 or more"),
            ("retention", self.retention >= MIN_RETENTION, f"{MIN_RETENTION} or more"),
        ):
            if not fits:
                raise ValueError(f"{field} is {getattr(self, field)}; it must be {range_}")


class Case(NamedTuple):
    """Everything that the rules look at.

    :param schedule: the arriving schedule, decoded and addressed to this device.
    :param digest: its digest.
    :param known: what the ledger remembers of its id.
    :param high_water: ``generated_at`` of the newest schedule ever admitted.
    :param now: the device's time.
    :param clock_trusted: whether ``now`` can be relied on.
    :param policy: the device's configuration.
    """

    schedule: Schedule
    digest: str
    known: Entry | None
    high_water: datetime | None
    now: datetime
    clock_trusted: bool
    policy: Policy


class Verdict(StrEnum):
    """What to do with a schedule."""

    ADMIT = "admit"
    REPEAT = "repeat"
    REFUSE = "refuse"


class Decision(NamedTuple):
    """The verdict and, for a refusal, why."""

    verdict: Verdict
    problem: Problem | None = None


class Rule(NamedTuple):
    """One row of the table.

    :param code: the code of the refusal; ``None`` for the row that recognises a repetition.
    :param explain: the refusal's words and figures, or ``None`` when the rule does not hit.
    """

    code: ErrorCode | None
    explain: Callable[[Case], Problem | None]


def _repeated(case: Case) -> Problem | None:
    known = case.known
    if known is None or known.digest != case.digest or known.state is EntryState.RETRY:
        return None
    return Problem(code=ErrorCode.ORDER_CONFLICT, message="the same schedule again")


def _conflicting(case: Case) -> Problem | None:
    if case.known is None or case.known.digest == case.digest:
        return None
    return Problem(
        code=ErrorCode.ORDER_CONFLICT,
        message=f"id {case.schedule.schedule_id} already names another content; send a changed plan under a new id",
        path="/schedule_id",
        details={"digest": case.digest, "stored_digest": case.known.digest},
    )


def _stale(case: Case) -> Problem | None:
    if case.high_water is None or case.schedule.generated_at > case.high_water:
        return None
    if case.known is not None and case.known.generated_at == case.schedule.generated_at == case.high_water:
        return None  # the newest schedule itself, tried again after a failure that a retry can mend
    return Problem(
        code=ErrorCode.ORDER_STALE,
        message=f"generated at {_z(case.schedule.generated_at)}, not after the newest admitted, {_z(case.high_water)}",
        path="/generated_at",
        details={"generated_at": _z(case.schedule.generated_at), "newest": _z(case.high_water)},
    )


def _in_future(case: Case) -> Problem | None:
    ahead = case.schedule.generated_at - case.now
    if not case.clock_trusted or ahead <= case.policy.max_skew:
        return None
    return Problem(
        code=ErrorCode.ORDER_IN_FUTURE,
        message=f"generated {ahead} ahead of {_z(case.now)} here; at most {case.policy.max_skew}: check both clocks",
        path="/generated_at",
        details={"ahead_s": ahead.total_seconds(), "limit_s": case.policy.max_skew.total_seconds()},
    )


def _expired(case: Case) -> Problem | None:
    if not case.clock_trusted or case.schedule.end > case.now:
        return None
    return Problem(
        code=ErrorCode.TIME_EXPIRED,
        message=f"the last slot ended at {_z(case.schedule.end)}; it is {_z(case.now)}",
        path="/intervals",
        details={"end": _z(case.schedule.end)},
    )


def _too_far(case: Case) -> Problem | None:
    ahead = case.schedule.start - case.now
    if not case.clock_trusted or ahead <= case.policy.max_ahead:
        return None
    return Problem(
        code=ErrorCode.TIME_TOO_FAR,
        message=f"starts {ahead} ahead of {_z(case.now)} here; at most {case.policy.max_ahead}",
        path="/intervals/0/start",
        details={"ahead_s": ahead.total_seconds(), "limit_s": case.policy.max_ahead.total_seconds()},
    )


def _beyond_power(case: Case) -> Problem | None:
    charge, discharge = case.policy.max_charge_w, case.policy.max_discharge_w
    rates_w = case.schedule.rates_w
    if -discharge <= min(rates_w) and max(rates_w) <= charge:
        return None
    for index, rate_w in enumerate(rates_w):
        if not -discharge <= rate_w <= charge:
            limit = charge if rate_w > 0 else -discharge
            return Problem(
                code=ErrorCode.LIMIT_POWER,
                message=f"setpoint {rate_w} W is beyond this device's own limit of {limit} W",
                path=f"/intervals/{index}/rate_kw",
                details={"slot": index, "value_w": rate_w, "limit_w": limit},
            )
    return None


def _clock_untrusted(case: Case) -> Problem | None:
    if case.clock_trusted:
        return None
    return Problem(code=ErrorCode.DEVICE_CLOCK_UNTRUSTED, message="this device's clock is not synchronised yet; try again")


TABLE: Final = (
    Rule(None, _repeated),
    Rule(ErrorCode.ORDER_CONFLICT, _conflicting),
    Rule(ErrorCode.ORDER_STALE, _stale),
    Rule(ErrorCode.ORDER_IN_FUTURE, _in_future),
    Rule(ErrorCode.TIME_EXPIRED, _expired),
    Rule(ErrorCode.TIME_TOO_FAR, _too_far),
    Rule(ErrorCode.LIMIT_POWER, _beyond_power),
    Rule(ErrorCode.DEVICE_CLOCK_UNTRUSTED, _clock_untrusted),
)
"""The decision table; the first row that hits decides, and a schedule that none hits is admitted."""


def decide(case: Case) -> Decision:
    """Decide what an arriving schedule is."""
    for rule in TABLE:
        problem = rule.explain(case)
        if problem is not None:
            return Decision(Verdict.REPEAT) if rule.code is None else Decision(Verdict.REFUSE, problem)
    return Decision(Verdict.ADMIT)


def _z(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")
