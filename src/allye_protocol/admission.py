"""What an arriving schedule or cancel is: new, a repetition, a conflict, stale, too late, beyond this device's limits.

1. :func:`decide` and :func:`decide_cancel` are pure functions of what is stored, the message and the time. The rules are the
   rows of :data:`TABLE`, asked from top to bottom; the first that hits decides.
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

from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from allye_protocol.errors import ErrorCode, Problem
from allye_protocol.messages.fields import shown
from allye_protocol.messages.v2 import RESOLUTIONS_S, sequence_at
from allye_protocol.store.base import Entry, EntryState

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from allye_protocol.messages import Cancel, Schedule

__all__ = ["TABLE", "Case", "Decision", "Policy", "Rule", "Verdict", "decide", "decide_cancel"]

MIN_RETENTION: Final = timedelta(days=1)


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """The device's own configuration of what it admits.

    :param max_charge_w: the device's own limit on charging power, W.
    :param max_discharge_w: the device's own limit on discharging power, W (a positive number).
    :param max_ahead: how far in the future a schedule may start.
    :param max_skew: how far ahead of the device's clock the sequence of a message may be.
    :param retention: how long after its horizon's end a decided id is remembered, at least a day: a copy that comes later than
        that is judged by its order and its horizon alone.
    :param soc_min_pct: the device's own lowest state of charge, %; ``soc_max_pct``: its own highest. A schedule's band narrows
        it; one that leaves nothing of it is refused.
    :param slot_lengths_s: the slot lengths that the device takes, s.
    :raises ValueError: for a value out of its range, naming it.
    """

    max_charge_w: int
    max_discharge_w: int
    max_ahead: timedelta = timedelta(days=8)
    max_skew: timedelta = timedelta(minutes=5)
    retention: timedelta = timedelta(days=14)
    soc_min_pct: float = 0.0
    soc_max_pct: float = 100.0
    slot_lengths_s: tuple[int, ...] = RESOLUTIONS_S

    def __post_init__(self) -> None:
        for field, fits, range_ in (
            ("max_charge_w", self.max_charge_w >= 0, "0 or more"),
            ("max_discharge_w", self.max_discharge_w >= 0, "0 or more"),
            ("max_ahead", self.max_ahead > timedelta(0), "more than 0"),
            ("max_skew", self.max_skew >= timedelta(0), "0 or more"),
            ("retention", self.retention >= MIN_RETENTION, f"{MIN_RETENTION} or more"),
            ("soc_min_pct", 0 <= self.soc_min_pct <= self.soc_max_pct, "from 0 to soc_max_pct"),
            ("soc_max_pct", self.soc_max_pct <= 100, "100 or less"),
            ("slot_lengths_s", bool(self.slot_lengths_s), "one length or more"),
        ):
            if not fits:
                raise ValueError(f"{field} is {getattr(self, field)}; it must be {range_}")


class Case(NamedTuple):
    """Everything that the rules look at.

    :param schedule: the arriving schedule, decoded and addressed to this device.
    :param digest: its digest.
    :param known: what the ledger remembers of its id.
    :param high_water: the highest sequence ever admitted; 0 before the first.
    :param now: the device's time.
    :param clock_trusted: whether ``now`` can be relied on.
    :param policy: the device's configuration.
    """

    schedule: Schedule
    digest: str
    known: Entry | None
    high_water: int
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
    known = case.known
    if known is None or known.state is EntryState.TOMBSTONE or known.digest == case.digest:
        return None
    return Problem(
        code=ErrorCode.ORDER_CONFLICT,
        message=f"id {case.schedule.schedule_id} already names another content; send a changed plan under a new id",
        path="/schedule_id",
        details={"digest": case.digest, "stored_digest": known.digest},
    )


def _cancelled(case: Case) -> Problem | None:
    known = case.known
    if known is None or (known.state is not EntryState.TOMBSTONE and known.cut is None):
        return None
    message = f"id {case.schedule.schedule_id} was cancelled; send a new plan under a new id"
    return Problem(code=ErrorCode.ORDER_CANCELLED, message=message, path="/schedule_id")


def _stale(case: Case) -> Problem | None:
    sequence = case.schedule.sequence
    if case.known is not None and case.known.sequence == sequence == case.high_water:
        return None  # the newest schedule itself, tried again after a failure that a retry can mend
    return _not_above(sequence, case.high_water)


def _not_above(sequence: int, high_water: int) -> Problem | None:
    if sequence > high_water:
        return None
    return Problem(
        code=ErrorCode.ORDER_STALE,
        message=f"sequence {sequence} is not above the highest admitted, {high_water}; send it with a newer one",
        path="/sequence",
        details={"value": sequence, "limit": high_water},
    )


def _in_future(case: Case) -> Problem | None:
    return _ahead(case.schedule.sequence, case.now, case.policy) if case.clock_trusted else None


def _ahead(sequence: int, now: datetime, policy: Policy) -> Problem | None:
    ahead = timedelta(microseconds=sequence - sequence_at(now))
    if ahead <= policy.max_skew:
        return None
    return Problem(
        code=ErrorCode.ORDER_IN_FUTURE,
        message=f"sequence is {ahead} ahead of {shown(now)} here; at most {policy.max_skew}: check both clocks",
        path="/sequence",
        details={"value": ahead.total_seconds(), "limit": policy.max_skew.total_seconds()},
    )


def _expired(case: Case) -> Problem | None:
    schedule, now = case.schedule, case.now
    if not case.clock_trusted:
        return None
    if schedule.end <= now:
        message = f"the last slot ended at {shown(schedule.end)}; it is {shown(now)}"
        return Problem(code=ErrorCode.TIME_EXPIRED, message=message, path="/start")
    if schedule.expires_at is not None and schedule.expires_at <= now:
        message = f"it expired at {shown(schedule.expires_at)}; it is {shown(now)}"
        return Problem(code=ErrorCode.TIME_EXPIRED, message=message, path="/expires_at")
    return None


def _too_far(case: Case) -> Problem | None:
    ahead = case.schedule.start - case.now
    if not case.clock_trusted or ahead <= case.policy.max_ahead:
        return None
    return Problem(
        code=ErrorCode.TIME_TOO_FAR,
        message=f"starts {ahead} ahead of {shown(case.now)} here; at most {case.policy.max_ahead}",
        path="/start",
        details={"value": ahead.total_seconds(), "limit": case.policy.max_ahead.total_seconds()},
    )


def _odd_length(case: Case) -> Problem | None:
    lengths = case.policy.slot_lengths_s
    if case.schedule.resolution_s in lengths:
        return None
    return Problem(
        code=ErrorCode.TIME_BAD_DURATION,
        message=f"slots of {case.schedule.resolution_s} s; this device takes {', '.join(map(str, lengths))} s",
        path="/resolution_s",
        details={"value": case.schedule.resolution_s},
    )


def _beyond_power(case: Case) -> Problem | None:
    charge, discharge = case.policy.max_charge_w, case.policy.max_discharge_w
    rates_w = case.schedule.rates_w
    asked = [rate_w for rate_w in rates_w if rate_w is not None] if None in rates_w else rates_w
    if not asked or (-discharge <= min(asked) and max(asked) <= charge):  # type: ignore[type-var, operator]
        return None
    for index, rate_w in enumerate(rates_w):
        if rate_w is not None and not -discharge <= rate_w <= charge:
            limit = charge if rate_w > 0 else -discharge
            return Problem(
                code=ErrorCode.LIMIT_POWER,
                message=f"setpoint {rate_w} W is beyond this device's own limit of {limit} W",
                path=f"/rates_w/{index}",
                details={"slot": index, "value": rate_w, "limit": limit},
            )
    return None


def _beyond_soc(case: Case) -> Problem | None:
    low, high = case.schedule.soc_min_pct, case.schedule.soc_max_pct
    policy = case.policy
    if low is not None and low > policy.soc_max_pct:
        value, limit, path = low, policy.soc_max_pct, "/soc_min_pct"
    elif high is not None and high < policy.soc_min_pct:
        value, limit, path = high, policy.soc_min_pct, "/soc_max_pct"
    else:
        return None
    own = f"{policy.soc_min_pct} to {policy.soc_max_pct} %"
    message = f"{value} % leaves nothing of this device's own band of {own}"
    return Problem(code=ErrorCode.LIMIT_SOC, message=message, path=path, details={"value": value, "limit": limit})


def _clock_untrusted(case: Case) -> Problem | None:
    return None if case.clock_trusted else _untrusted()


def _untrusted() -> Problem:
    return Problem(code=ErrorCode.DEVICE_CLOCK_UNTRUSTED, message="this device's clock is not synchronised yet; try again")


TABLE: Final = (
    Rule(None, _repeated),
    Rule(ErrorCode.ORDER_CONFLICT, _conflicting),
    Rule(ErrorCode.ORDER_CANCELLED, _cancelled),
    Rule(ErrorCode.ORDER_STALE, _stale),
    Rule(ErrorCode.ORDER_IN_FUTURE, _in_future),
    Rule(ErrorCode.TIME_EXPIRED, _expired),
    Rule(ErrorCode.TIME_TOO_FAR, _too_far),
    Rule(ErrorCode.TIME_BAD_DURATION, _odd_length),
    Rule(ErrorCode.LIMIT_POWER, _beyond_power),
    Rule(ErrorCode.LIMIT_SOC, _beyond_soc),
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


def decide_cancel(cancel: Cancel, high_water: int, now: datetime, policy: Policy, *, clock_trusted: bool) -> Problem | None:
    """Why a cancel that was not answered before is refused; ``None`` when it counts.

    :param high_water: the highest sequence ever admitted.
    :param now: the device's time.
    :param clock_trusted: whether ``now`` can be relied on. Without that, nothing is executed anyway, and it cannot be told
        from when on the cancel counts.
    """
    if (stale := _not_above(cancel.sequence, high_water)) is not None:
        return stale
    return _ahead(cancel.sequence, now, policy) if clock_trusted else _untrusted()
