"""The registry of kinds and versions: complete, and no version stands in for another."""

from __future__ import annotations

from typing import get_args

import pytest

from allye_protocol import messages
from allye_protocol.codec import decode
from allye_protocol.messages.registry import BY_TYPE, CHANNEL_OF, KINDS, VERSIONS, Kind, Message, versions_of
from allye_protocol.topics import Channel
from tests.codec.bodies import body


def test_every_key_is_what_its_spec_says() -> None:
    assert all(key == (spec.kind, spec.version) for key, spec in KINDS.items())


def test_every_message_type_is_registered_and_no_other() -> None:
    assert set(BY_TYPE) == set(get_args(Message)) == {spec.struct for spec in KINDS.values()}
    assert {struct.__name__ for struct in BY_TYPE} <= set(messages.__all__)


def test_a_version_is_spoken_in_every_versioned_kind() -> None:
    assert VERSIONS == (1,)
    versioned = [kind for kind in Kind if versions_of(kind) != (0,)]
    assert versioned == [Kind.SCHEDULE, Kind.ACK, Kind.EXECUTION_RESULT]
    assert all(versions_of(kind) == VERSIONS for kind in versioned)


def test_a_version_that_is_not_in_the_table_is_not_there() -> None:
    assert (Kind.SCHEDULE, 2) not in KINDS


@pytest.mark.parametrize("kind", Kind)
def test_a_kind_has_a_channel_of_its_own(kind: Kind) -> None:
    assert CHANNEL_OF[kind] in Channel
    assert list(CHANNEL_OF.values()).count(CHANNEL_OF[kind]) == 1


@pytest.mark.parametrize("kind", Kind)
def test_a_kind_decodes_to_its_newest_type(kind: Kind) -> None:
    spec = KINDS[kind, versions_of(kind)[-1]]
    message = decode(body(kind), kind)
    assert type(message) is spec.struct
    assert list(spec.problems(message)) == []
    assert spec.says_version is ("version" in spec.struct.__struct_fields__)
