"""Counting members: a body with just those that were read, and one with any other."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from allye_protocol.codec import MSGPACK, encode
from allye_protocol.codec.members import has_only_members_json, has_only_members_msgpack
from tests.fuzz.json_bodies import spell
from tests.fuzz.msgpack_bodies import pack
from tests.fuzz.trees import Members
from tests.strategies import v2_messages


@given(v2_messages)
def test_what_this_library_writes_has_only_its_members(message: Any) -> None:
    written = encode(message)
    assert has_only_members_json(written, message) or b"\\" in written
    assert has_only_members_msgpack(encode(message, MSGPACK), message)


def members_of(message: Any) -> Members:
    tree: Members = json.loads(encode(message), object_pairs_hook=Members.of)
    return tree


def objects_in(node: Any) -> list[Members]:
    """The object and those within it."""
    return [node, *(each for _, value in node if isinstance(value, Members) for each in objects_in(value))]


@given(v2_messages, st.data(), st.randoms(use_true_random=False))
def test_one_member_more_is_found_wherever_it_stands(message: Any, data: st.DataObject, rng: Any) -> None:
    tree = members_of(message)
    holder = data.draw(st.sampled_from([each for each in objects_in(tree) if each]))
    name, value = data.draw(st.sampled_from(holder))
    extra = data.draw(
        st.sampled_from([(name, value), ("x", 1), ("x", Members()), ("x", []), ("x", "a"), ("", Members([("y", 1)]))])
    )
    holder.insert(data.draw(st.integers(0, len(holder))), extra)
    body = spell(tree, rng, plain=True).encode()
    try:
        read = msgspec.json.decode(body, type=type(message))
        packed = pack(tree, rng)
        unpacked = msgspec.msgpack.decode(packed, type=type(message))
    except (msgspec.ValidationError, ValueError):
        return  # an extra that is no label, or no value of a first one
    assert len(getattr(read, "metadata", ())) != len(getattr(message, "metadata", ())) or not has_only_members_json(body, read)
    assert len(getattr(read, "metadata", ())) != len(getattr(message, "metadata", ())) or not has_only_members_msgpack(
        packed, unpacked
    )


@given(v2_messages, st.data())
def test_members_at_their_default_are_members(message: Any, data: st.DataObject) -> None:
    absent = [
        (field.encode_name, field.default)
        for field in msgspec.structs.fields(type(message))
        if not field.required and field.default is not msgspec.NODEFAULT and getattr(message, field.name) == field.default
    ]
    added = data.draw(st.lists(st.sampled_from(absent), unique_by=lambda pair: pair[0])) if absent else []
    tree = {**json.loads(encode(message)), **dict(added)}
    body = json.dumps(tree, ensure_ascii=False).encode("utf-8")
    assert b"\\" in body or has_only_members_json(body, message)
    assert has_only_members_msgpack(msgspec.msgpack.encode(tree), message)
