"""Names in a body that is no message: what can be read is read, and nothing is raised, in every encoding."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allye_protocol.codec import ENCODINGS, JSON, MSGPACK, PROTOBUF, encode
from allye_protocol.codec.peek import Names, peek
from allye_protocol.ids import is_id
from allye_protocol.messages.registry import Kind
from tests import builders
from tests.codec.bodies import BAD, BAD_2, NOT_JSON, OVERSIZE, VALID_2, Bad, BadTree, body, packed, tree_of

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


def test_the_names_of_an_invalid_body() -> None:
    payload = body(Kind.SCHEDULE, ("/intervals", 5), ("/version", 99))
    assert peek(payload) == peek(payload, JSON) == Names("plan-2018-07-01-a", "max300-0001", TRACE_ID)


def test_the_names_of_an_invalid_body_of_version_2() -> None:
    tree = tree_of(Kind.SCHEDULE, ("/rates_w", 5), ("/version", 99), of=VALID_2)
    expected = Names("plan-2018-07-01-a", "max300-0001", TRACE_ID)
    assert peek(packed(tree)) == peek(packed(tree), MSGPACK) == expected
    assert peek(body(Kind.SCHEDULE, ("/rates_w", 5), of=VALID_2)) == expected


@pytest.mark.skipif(PROTOBUF not in ENCODINGS, reason="not installed: protobuf")
def test_the_names_of_a_body_in_protobuf_as_far_as_it_can_be_read() -> None:
    payload = encode(builders.schedule(), PROTOBUF)
    for cut in (payload, payload + b"\x08", payload + b"\xff\xff"):
        assert peek(cut) == peek(cut, PROTOBUF) == Names("plan-a", builders.DEVICE, builders.TRACE_ID)


def test_what_is_no_id_is_not_taken_for_one() -> None:
    payload = body(Kind.SCHEDULE, ("/schedule_id", "../x"), ("/device_id", "+"), ("/trace_id", 1))
    assert peek(payload) == Names(sha256(payload).hexdigest(), None, None)
    other = packed(tree_of(Kind.ACK, ("/schedule_id", [1]), ("/device_id", ""), ("/traceparent", "no"), of=VALID_2))
    assert peek(other) == Names(sha256(other).hexdigest(), None, None)


@pytest.mark.parametrize("bad", [pytest.param(bad, id=name) for name, bad in (NOT_JSON | BAD).items()])
def test_every_bad_body_gets_a_reference_that_is_an_id(bad: Bad) -> None:
    assert is_id(peek(bad.payload).reference)


@pytest.mark.parametrize("bad", [pytest.param(bad, id=name) for name, bad in BAD_2.items()])
def test_every_bad_body_in_messagepack_does_too(bad: BadTree) -> None:
    assert is_id(peek(packed(bad.tree)).reference)


@given(st.binary(), st.sampled_from([None, *ENCODINGS, "text/plain"]))
def test_any_bytes_get_a_reference_that_is_an_id(payload: bytes, content_type: str | None) -> None:
    assert is_id(peek(payload, content_type).reference)


@pytest.mark.parametrize("payload", [b"\x90", b"\xc0", b"\x81", b"\xdf\xff\xff\xff\xff", b"[]", b"null", b""])
def test_what_is_no_object_has_no_names(payload: bytes) -> None:
    for content_type in (None, JSON, MSGPACK):
        assert peek(payload, content_type) == Names(sha256(payload).hexdigest(), None, None)


def test_an_oversize_payload_is_only_hashed() -> None:
    payload = body(Kind.SCHEDULE).ljust(len(OVERSIZE.payload))
    assert peek(payload) == Names(sha256(payload).hexdigest(), None, None)
