"""The wire by itself: fields as they came, and names in what is no message."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allye_protocol.codec.protobuf.wire import WireError, WireType, names_in, occurrences, varint, version_in
from allye_protocol.messages.registry import Kind
from tests.codec import protobuf_bodies as made
from tests.codec.protobuf_bodies import BAD, MALFORMED, PARTS, body

INSIDE = ("an error that ends too early", "rates that end too early")
"""What is malformed only to who knows that there is a message or a list inside."""


@given(st.integers(0, 2**64 - 1), st.binary(max_size=3))
def test_a_number_is_read_back(value: int, behind: bytes) -> None:
    written = made.varint(value)
    assert varint(b"x" + written + behind, 1, 0) == (value, 1 + len(written))


def test_fields_come_as_they_were_written() -> None:
    payload = made.number(1, 300) + made.text(2, "ab") + made.double(3, 0.0) + made.tag(4, 3) + made.tag(4, 4)
    assert [tuple(came) for came in occurrences(payload)] == [
        (1, WireType.VARINT, 300, 1),
        (2, WireType.LENGTH, b"ab", 5),
        (3, WireType.FIXED64, bytes(8), 8),
        (4, WireType.GROUP, b"", 17),
    ]


def test_an_error_says_at_which_byte_of_the_payload() -> None:
    with pytest.raises(WireError, match="byte 107"):
        list(occurrences(made.text(2, "abc") + made.tag(9, 0) + b"\x80", base=100))


@pytest.mark.parametrize(
    "name",
    [name for name, bad in MALFORMED.items() if not bad.path and name not in ("a tag of seven bytes", *INSIDE)],
)
def test_what_is_no_field_is_found_without_the_runtime(name: str) -> None:
    with pytest.raises(WireError):
        list(occurrences(MALFORMED[name].payload))


@pytest.mark.parametrize("kind", PARTS)
def test_the_names_and_the_version_of_any_message_are_found(kind: Kind) -> None:
    expected = {"schedule_id": "plan-2018-07-01-a", "device_id": "max300-0001", "traceparent": made.TRACE}
    assert names_in(body(kind)) == {name: expected[name] for name in expected if name in PARTS[kind]}
    assert version_in(body(kind)) == 2


@pytest.mark.parametrize("name", [name for name, bad in BAD.items() if b"\x1a\x0bmax300-0001" in bad.payload])
def test_names_are_found_in_a_message_that_breaks_a_rule(name: str) -> None:
    assert names_in(BAD[name].payload)["device_id"].startswith("max300-000")


def test_names_are_found_before_the_place_where_the_bytes_end() -> None:
    assert names_in(body(Kind.ACK)[:40]) == {"schedule_id": "plan-2018-07-01-a", "device_id": "max300-0001"}
    assert names_in(MALFORMED["JSON"].payload) == {}


def test_a_name_that_is_not_utf_8_is_none() -> None:
    assert names_in(made.text(2, b"\xff") + made.text(3, "a")) == {"device_id": "a"}


def test_a_name_of_another_type_is_none() -> None:
    assert names_in(made.number(2, 7) + made.text(3, "a")) == {"device_id": "a"}


@given(st.binary(max_size=200))
def test_names_are_looked_for_in_any_bytes(payload: bytes) -> None:
    assert set(names_in(payload)) <= {"schedule_id", "device_id", "traceparent"}


def test_a_version_that_is_not_clear_is_none() -> None:
    assert version_in(made.number(1, 2) + made.number(1, 3)) is None
    assert version_in(made.text(1, "2")) is None
    assert version_in(made.number(2, 2)) is None
