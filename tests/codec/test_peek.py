"""Names in a body that is no message: what can be read is read, and nothing is raised."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allye_protocol.codec.peek import Names, peek
from allye_protocol.ids import is_id
from allye_protocol.messages.registry import Kind
from tests.codec.bodies import BAD, NOT_JSON, OVERSIZE, Bad, body


def test_the_names_of_an_invalid_body() -> None:
    payload = body(Kind.SCHEDULE, ("/intervals", 5), ("/version", 99))
    assert peek(payload) == Names("plan-2018-07-01-a", "max300-0001", "4bf92f3577b34da6a3ce929d0e0e4736")


def test_what_is_no_id_is_not_taken_for_one() -> None:
    payload = body(Kind.SCHEDULE, ("/schedule_id", "../x"), ("/device_id", "+"), ("/trace_id", 1))
    assert peek(payload) == Names(sha256(payload).hexdigest(), None, None)


@pytest.mark.parametrize("bad", [pytest.param(bad, id=name) for name, bad in (NOT_JSON | BAD).items()])
def test_every_bad_body_gets_a_reference_that_is_an_id(bad: Bad) -> None:
    assert is_id(peek(bad.payload).reference)


@given(st.binary())
def test_any_bytes_get_a_reference_that_is_an_id(payload: bytes) -> None:
    assert is_id(peek(payload).reference)


def test_an_oversize_payload_is_only_hashed() -> None:
    payload = body(Kind.SCHEDULE).ljust(len(OVERSIZE.payload))
    assert peek(payload) == Names(sha256(payload).hexdigest(), None, None)
