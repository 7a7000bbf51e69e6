"""Negotiation: one pure function, that takes the best that both speak or says which side to upgrade."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from allye_protocol.codec import ENCODINGS, JSON, MSGPACK, PROTOBUF, content_types_of
from allye_protocol.errors import ErrorCode, NegotiationError, PeerTooNew, PeerTooOld
from allye_protocol.negotiation import BASELINE, Agreement, Offer, agreement_with, choose
from tests import builders
from tests.strategies import hellos

versions = st.lists(st.integers(1, 6), max_size=4).map(tuple)
content_types = st.lists(
    st.sampled_from([JSON, MSGPACK, PROTOBUF, "text/plain", "Application/JSON; charset=utf-8"]), max_size=4
).map(tuple)
offers = st.builds(Offer, versions=versions, content_types=content_types)
OURS = Offer(versions=(1, 2), content_types=tuple(ENCODINGS))


def normal(content_type: str) -> str:
    return content_type.partition(";")[0].lower()


@given(offers, offers)
def test_an_agreement_is_the_highest_common_version_in_the_first_preferred_common_encoding(ours: Offer, theirs: Offer) -> None:
    try:
        agreed = choose(ours, theirs)
    except NegotiationError:
        return
    assert agreed.version == max(set(ours.versions) & set(theirs.versions))
    common = [each for each in ours.content_types if each in map(normal, theirs.content_types)]
    assert agreed.content_type == next(each for each in common if each in content_types_of(agreed.version))


@given(offers, offers)
def test_without_a_common_version_it_is_said_which_side_is_behind(ours: Offer, theirs: Offer) -> None:
    mine, other = set(ours.versions), set(theirs.versions)
    if mine & other:
        return
    with pytest.raises(NegotiationError) as caught:
        choose(ours, theirs)
    assert caught.value.code is ErrorCode.VERSION_UNSUPPORTED
    assert caught.value.details == {"ours": sorted(ours.versions), "theirs": sorted(theirs.versions)}
    older = not other or not mine or max(other) < min(mine)
    assert type(caught.value) is (PeerTooOld if older else PeerTooNew)
    assert ("upgrade the peer" if older else "upgrade this side") in str(caught.value)


@given(offers, offers)
def test_both_sides_agree_on_the_version_and_on_who_is_behind(ours: Offer, theirs: Offer) -> None:
    def outcome(one: Offer, other: Offer) -> int | type:
        try:
            return choose(one, other).version
        except NegotiationError as error:
            return type(error)

    mine, yours = set(ours.versions), set(theirs.versions)
    if mine & yours:
        plain = tuple(map(normal, ours.content_types)), tuple(map(normal, theirs.content_types))
        ours, theirs = replace(ours, content_types=plain[0]), replace(theirs, content_types=plain[1])
        assert outcome(ours, theirs) == outcome(theirs, ours)
    elif mine and yours and (max(mine) < min(yours) or max(yours) < min(mine)):
        assert {outcome(ours, theirs), outcome(theirs, ours)} == {PeerTooOld, PeerTooNew}


@given(offers, offers, st.randoms(use_true_random=False))
def test_the_order_of_versions_and_of_the_other_sides_encodings_does_not_matter(
    ours: Offer, theirs: Offer, rng: st.random_module
) -> None:
    def shuffled(values: tuple[object, ...]) -> tuple[object, ...]:
        return tuple(rng.sample(values, len(values)))  # type: ignore[attr-defined]

    def outcome(one: Offer, other: Offer) -> object:
        try:
            return choose(one, other)
        except NegotiationError as error:
            return type(error)

    mixed = Offer(versions=shuffled(theirs.versions), content_types=shuffled(theirs.content_types))  # type: ignore[arg-type]
    assert outcome(ours, theirs) == outcome(replace(ours, versions=shuffled(ours.versions)), mixed)


@given(offers)
def test_who_speaks_everything_agrees_with_whoever_speaks_something(theirs: Offer) -> None:
    known = [version for version in theirs.versions if version in OURS.versions]
    readable = {normal(content_type) for content_type in theirs.content_types}
    if known and readable & set(content_types_of(max(known))):
        assert choose(OURS, theirs).version == max(known)


@pytest.mark.parametrize(
    ("theirs", "agreed"),
    [
        (Offer(versions=(1,), content_types=(JSON,)), Agreement(version=1, content_type=JSON)),
        (Offer(versions=(1, 2), content_types=(JSON, MSGPACK)), Agreement(version=2, content_type=MSGPACK)),
        (Offer(versions=(2, 3), content_types=(JSON,)), Agreement(version=2, content_type=JSON)),
        (Offer(versions=(1,), content_types=(MSGPACK, JSON)), Agreement(version=1, content_type=JSON)),
    ],
)
def test_what_is_agreed_with_some_peers(theirs: Offer, agreed: Agreement) -> None:
    assert choose(Offer(versions=(1, 2), content_types=(MSGPACK, JSON)), theirs) == agreed


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (OURS, Offer(versions=(2,), content_types=("text/plain",))),
        (OURS, Offer(versions=(1,), content_types=(MSGPACK,))),
        (Offer(versions=(2,), content_types=(MSGPACK,)), Offer(versions=(2,), content_types=(JSON,))),
        (OURS, Offer(versions=(2,), content_types=())),
    ],
)
def test_a_common_version_without_a_common_encoding_is_refused(ours: Offer, theirs: Offer) -> None:
    with pytest.raises(NegotiationError) as caught:
        choose(ours, theirs)
    assert caught.value.code is ErrorCode.VERSION_NO_COMMON_ENCODING
    assert not isinstance(caught.value, (PeerTooOld, PeerTooNew))


# by hello


def test_a_device_without_a_hello_is_spoken_to_in_version_1_json() -> None:
    assert agreement_with(None, OURS) == BASELINE == Agreement(version=1, content_type=JSON)


def test_a_side_that_no_longer_speaks_version_1_needs_a_hello() -> None:
    with pytest.raises(PeerTooOld, match="upgrade the peer"):
        agreement_with(None, Offer(versions=(2, 3), content_types=(JSON,)))


def test_a_new_hello_is_a_new_agreement() -> None:
    assert agreement_with(builders.V1_HELLO, OURS) == BASELINE
    assert agreement_with(builders.HELLO, OURS) == Agreement(version=2, content_type=next(iter(ENCODINGS)))
    assert agreement_with(builders.V1_HELLO, OURS) == BASELINE


@given(hellos)
def test_any_hello_leads_to_an_agreement_or_one_typed_error(hello: object) -> None:
    try:
        agreed = agreement_with(hello, OURS)  # type: ignore[arg-type]
    except NegotiationError:
        return
    assert agreed.content_type in content_types_of(agreed.version)
