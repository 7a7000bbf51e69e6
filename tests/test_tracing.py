"""Trace context: what is valid is carried, what is not is replaced, and nothing is random by itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allye_protocol.frame import Frame
from allye_protocol.tracing import TraceContext, trace_id_or_none

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"
HEX = "0123456789abcdef"


def counting(start: int = 1):
    """A source of bytes that never repeats itself."""
    state = [start]

    def source(size: int) -> bytes:
        state[0] += 1
        return state[0].to_bytes(size, "big")

    return source


def frame(*properties: tuple[str, str]) -> Frame:
    return Frame(topic="devices/a/schedule", payload=b"{}", user_properties=properties)


def hex_id(chars: int):
    return st.text(HEX, min_size=chars, max_size=chars).filter(lambda text: text.strip("0"))


@given(hex_id(32), hex_id(16), st.booleans())
def test_what_is_written_is_read_again(trace_id: str, span_id: str, sampled: bool) -> None:
    context = TraceContext(trace_id=trace_id, span_id=span_id, sampled=sampled)
    assert TraceContext.parse(context.traceparent) == context
    assert TraceContext.from_frame(frame(*context.user_properties()), counting()) == context


@pytest.mark.parametrize(
    "traceparent",
    [
        PARENT,
        f"00-{TRACE}-{SPAN}-03",
        f"01-{TRACE}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01-what-the-future-brings",
        f"fe-{TRACE}-{SPAN}-09-",
    ],
)
def test_a_valid_traceparent_is_read_and_sent_as_version_00(traceparent: str) -> None:
    context = TraceContext.parse(traceparent)
    assert context is not None
    assert context.traceparent == PARENT


INVALID = {
    "empty": "",
    "short": PARENT[:-1],
    "version ff": f"ff-{TRACE}-{SPAN}-01",
    "upper-case version": f"CC-{TRACE}-{SPAN}-01",
    "version 00 with more": f"{PARENT}-x",
    "version 00 with a dash": f"{PARENT}-",
    "later version without a dash": f"01-{TRACE}-{SPAN}-01x",
    "trace id of zeros": f"00-{'0' * 32}-{SPAN}-01",
    "span id of zeros": f"00-{TRACE}-{'0' * 16}-01",
    "upper-case trace id": f"00-{TRACE.upper()}-{SPAN}-01",
    "upper-case flags": f"00-{TRACE}-{SPAN}-0A",
    "wrong separator": PARENT.replace("-", "_"),
    "one wrong separator": f"00-{TRACE}-{SPAN}_01",
    "not hexadecimal": f"00-{TRACE[:-1]}g-{SPAN}-01",
    "spaces": f" {PARENT}",
    "newline": f"{PARENT}\n",
    "underscores": f"00-{TRACE[:-2]}_1-{SPAN}-01",
    "other digits": f"00-{TRACE[:-1]}٣-{SPAN}-01",
}


@pytest.mark.parametrize("traceparent", INVALID.values(), ids=INVALID)
def test_an_invalid_context_is_replaced_and_never_propagated(traceparent: str) -> None:
    assert TraceContext.parse(traceparent) is None
    context = TraceContext.from_frame(frame(("traceparent", traceparent), ("tracestate", "a=1")), counting())
    assert context == TraceContext(trace_id=f"{2:032x}", span_id=f"{3:016x}")


@given(st.text())
def test_any_text_is_a_context_or_none(text: str) -> None:
    context = TraceContext.parse(text, text)
    assert context is None or TraceContext.parse(context.traceparent, context.tracestate) == context


def test_two_traceparents_are_none() -> None:
    context = TraceContext.from_frame(frame(("traceparent", PARENT), ("traceparent", PARENT)), counting())
    assert context.trace_id != TRACE


def test_a_message_without_a_context_begins_one() -> None:
    source = counting()
    first, second = TraceContext.from_frame(frame(), source), TraceContext.from_frame(frame(), source)
    assert first.trace_id != second.trace_id


def test_the_trace_id_of_a_body_is_joined_when_no_property_says_otherwise() -> None:
    other = "1" * 32
    assert TraceContext.from_frame(frame(), counting(), trace_id=other).trace_id == other
    assert TraceContext.from_frame(frame(("traceparent", PARENT)), counting(), trace_id=other).trace_id == TRACE
    assert TraceContext.from_frame(frame(), counting(), trace_id="0" * 32).trace_id == f"{2:032x}"


def test_a_child_keeps_the_trace_and_has_its_own_span() -> None:
    parent = TraceContext.parse(PARENT, "vendor=1")
    assert parent is not None
    child = parent.child(counting())
    assert (child.trace_id, child.tracestate, child.sampled) == (parent.trace_id, "vendor=1", True)
    assert child.span_id != parent.span_id


def test_a_source_that_gives_zeros_still_makes_an_id() -> None:
    context = TraceContext.start(bytes)
    assert TraceContext.parse(context.traceparent) == context


@pytest.mark.parametrize("text", [None, "", "0" * 32, TRACE.upper(), TRACE[:-1], TRACE + "0", TRACE + "\n", "é" * 32])
def test_an_invalid_trace_id_of_a_body_is_none(text: str | None) -> None:
    assert trace_id_or_none(text) is None


def test_a_valid_trace_id_of_a_body_is_itself() -> None:
    assert trace_id_or_none(TRACE) == TRACE


@pytest.mark.parametrize(
    ("state", "carried"),
    [
        ("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
        (" a=1 ,\tb=2,, ", "a=1,b=2"),
        ("fw529a3039@dt=FfAAAAAEb0k, 1a@b=x", "fw529a3039@dt=FfAAAAAEb0k,1a@b=x"),
        ("a= 1", "a= 1"),
        ("", ""),
        ("a", ""),
        ("a=", ""),
        ("=1", ""),
        ("A=1", ""),
        ("1a=1", ""),
        ("a@1b=1", ""),
        ("a@=1", ""),
        ("@a=1", ""),
        ("a b=1", ""),
        ("a=1=2", ""),
        ("a=é", ""),
        ("a=1,a=2", ""),
        ("a=1,b", ""),
        (",".join(f"k{index}=1" for index in range(32)), ",".join(f"k{index}=1" for index in range(32))),
        (",".join(f"k{index}=1" for index in range(33)), ""),
        ("a=" + "x" * 257, ""),
    ],
)
def test_tracestate_is_carried_when_it_is_valid(state: str, carried: str) -> None:
    context = TraceContext.parse(PARENT, state)
    assert context is not None
    assert context.tracestate == carried


def test_a_long_tracestate_loses_its_long_members_first_and_then_its_last_ones() -> None:
    long, short = "long=" + "x" * 200, [f"k{index:02}=" + "y" * 25 for index in range(20)]
    context = TraceContext.parse(PARENT, ",".join([long, *short]))
    assert context is not None
    assert context.tracestate == ",".join(short[:17])
    assert len(context.tracestate) <= 512


def test_several_tracestates_are_one_list() -> None:
    context = TraceContext.from_frame(frame(("tracestate", "a=1"), ("traceparent", PARENT), ("tracestate", "b=2")), counting())
    assert context.user_properties() == (("traceparent", PARENT), ("tracestate", "a=1,b=2"))
