"""The strict reader: what msgspec reads, it reads alike; what it refuses costs no more than its bytes."""

from __future__ import annotations

import random
import tracemalloc
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from allye_protocol.codec.msgpack_reader import MAX_DEPTH, MalformedError, read_tree
from tests.fuzz.msgpack_bodies import pack
from tests.fuzz.trees import Members, Verbatim
from tests.strategies import instants

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8"), max_size=40)
    | st.binary(max_size=40)
    | instants,
    lambda inner: (
        st.lists(inner, max_size=20) | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=40), inner, max_size=20)
    ),
    max_leaves=20,
)


@given(values)
def test_what_msgspec_writes_is_read_as_msgspec_reads_it(value: Any) -> None:
    payload = msgspec.msgpack.encode(value)
    assert read_tree(payload) == msgspec.msgpack.decode(payload)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_value_or_one_error(payload: bytes) -> None:
    with suppress(MalformedError):
        read_tree(payload)


@given(st.binary(max_size=40))
def test_what_is_read_is_what_msgspec_reads_where_no_key_comes_twice(payload: bytes) -> None:
    try:
        tree = read_tree(payload)
    except MalformedError:
        return
    assert repr(msgspec.msgpack.encode(tree)) == repr(msgspec.msgpack.encode(msgspec.msgpack.decode(payload)))


numbers = st.integers(-(2**63), 2**64 - 1).map(lambda number: Verbatim(str(number)))


@given(st.lists(st.tuples(st.text("ab", max_size=2), numbers | st.text(max_size=3)), max_size=6), st.integers(0, 99))
def test_every_form_of_a_length_and_of_a_number_is_read(pairs: list[tuple[str, Any]], seed: int) -> None:
    plain = {name: int(value) if isinstance(value, Verbatim) else value for name, value in pairs}
    try:
        tree = read_tree(pack(Members(pairs), random.Random(seed)))
    except MalformedError as error:
        assume("is no text" not in str(error))  # the packer now and then writes a name as a number or as bytes
        raise
    if all(isinstance(value, (int, str)) for value in getattr(tree, "values", list)()):
        assert tree == plain
    twice = {name for name, _ in pairs if [each for each, _ in pairs].count(name) > 1}
    assert set(getattr(tree, "duplicates", ())) == twice


@pytest.mark.parametrize("depth", [MAX_DEPTH, MAX_DEPTH + 1, 60_000])
@pytest.mark.parametrize("head", [b"\x91", b"\x81\xa0"])
def test_nesting_is_bounded(depth: int, head: bytes) -> None:
    payload = head * depth + b"\xc0"
    if depth <= MAX_DEPTH:
        assert read_tree(payload) == msgspec.msgpack.decode(payload)
        return
    with pytest.raises(MalformedError, match="deep"):
        read_tree(payload)


@pytest.mark.parametrize(
    "payload", [b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff", b"\xc9\xff\xff\xff\xff\xff"]
)
def test_a_claimed_length_costs_nothing(payload: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(MalformedError):
            read_tree(payload + b"\xc0" * 1000)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_names_of_maps_cannot_be_maps() -> None:
    with pytest.raises(MalformedError):
        read_tree(b"\x81\x80\xc0")
    with pytest.raises(MalformedError):
        read_tree(b"\x81\x91\xa0\xc0")
