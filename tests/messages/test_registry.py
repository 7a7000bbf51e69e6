"""The registry of kinds and versions: complete, and no version stands in for another."""

from __future__ import annotations

from typing import get_args

import pytest

from allye_protocol import messages
from allye_protocol.codec import decode
from allye_protocol.messages.registry import (
    BY_TYPE,
    CHANNEL_OF,
    KINDS,
    NEWEST,
    VERSIONS,
    Kind,
    Message,
    Written,
    versions_of,
)
from allye_protocol.topics import Channel
from tests.codec.bodies import VALID, VALID_2, body


def test_every_key_is_what_its_spec_says() -> None:
    assert all(key == (spec.kind, spec.version) for key, spec in KINDS.items())


def test_every_message_type_is_registered_and_no_other() -> None:
    assert set(BY_TYPE) == set(get_args(Written)) == {spec.struct for spec in KINDS.values()}
    assert {struct.__name__ for struct in BY_TYPE} <= set(messages.__all__)


def test_the_newest_model_has_one_type_of_each_kind() -> None:
    newest = [KINDS[kind, versions_of(kind)[-1]] for kind in Kind]
    assert {spec.struct for spec in newest} == set(get_args(Message))
    assert {spec.version for spec in newest} == {0, NEWEST}


def test_a_kind_once_it_is_there_is_there_in_every_later_version() -> None:
    assert VERSIONS == (1, 2)
    assert versions_of(Kind.HELLO) == (0,)
    for kind in set(Kind) - {Kind.HELLO}:
        assert versions_of(kind) == VERSIONS[VERSIONS.index(versions_of(kind)[0]) :]


def test_a_version_that_is_not_in_the_table_is_not_there() -> None:
    assert not any((kind, version) in KINDS for kind in Kind for version in (3, -1))
    assert (Kind.CANCEL, 1) not in KINDS


@pytest.mark.parametrize("kind", Kind)
def test_a_kind_has_a_channel_of_its_own(kind: Kind) -> None:
    assert CHANNEL_OF[kind] in Channel
    assert list(CHANNEL_OF.values()).count(CHANNEL_OF[kind]) == 1


@pytest.mark.parametrize("kind", Kind)
def test_a_kind_decodes_to_the_type_of_its_version(kind: Kind) -> None:
    for version, of in ((versions_of(kind)[0], VALID), (versions_of(kind)[-1], {**VALID, **VALID_2})):
        spec = KINDS[kind, version]
        message = decode(body(kind, of=of), kind)
        assert type(message) is spec.struct
        assert list(spec.problems(message)) == []
        assert spec.says_version is ("version" in spec.struct.__struct_fields__)
