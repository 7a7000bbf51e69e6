"""Names, filters and matching: MQTT 5 section 4.7, against its own examples and against a naive reading of its rules."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allye_protocol.errors import ErrorCode, TopicError
from allye_protocol.matching import MAX_TOPIC_BYTES, Matcher, check_filter, check_name, matches, split_share

LEVELS = st.sampled_from(["", "a", "b", "é", "$a"])
NAMES = st.lists(LEVELS, min_size=1, max_size=6).map("/".join).filter(bool)
FILTERS = (
    st.tuples(st.lists(LEVELS | st.just("+"), max_size=6), st.sampled_from([[], ["#"]]))
    .map(lambda parts: "/".join([*parts[0], *parts[1]]))
    .filter(bool)
)


def naive(wanted: list[str], levels: list[str]) -> bool:
    """Section 4.7.1 word by word, recursively."""
    if wanted == ["#"]:
        return True
    if not wanted or not levels:
        return wanted == levels
    return wanted[0] in ("+", levels[0]) and naive(wanted[1:], levels[1:])


def naive_matches(topic_filter: str, topic: str) -> bool:
    if topic.startswith("$") and topic_filter[0] in "+#":
        return False
    return naive(topic_filter.split("/"), topic.split("/"))


@pytest.mark.parametrize(
    ("topic_filter", "topic", "expected"),
    [
        ("sport/tennis/player1/#", "sport/tennis/player1", True),
        ("sport/tennis/player1/#", "sport/tennis/player1/ranking", True),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", True),
        ("sport/#", "sport", True),
        ("sport/#", "sports", False),
        ("#", "a", True),
        ("#", "/", True),
        ("#", "$SYS/monitor", False),
        ("+", "$SYS", False),
        ("+/monitor/Clients", "$SYS/monitor/Clients", False),
        ("$SYS/#", "$SYS/monitor/Clients", True),
        ("$SYS/monitor/+", "$SYS/monitor/Clients", True),
        ("sport/tennis/+", "sport/tennis/player1", True),
        ("sport/tennis/+", "sport/tennis/player1/ranking", False),
        ("sport/+", "sport", False),
        ("sport/+", "sport/", True),
        ("+/+", "/finance", True),
        ("/+", "/finance", True),
        ("+", "/finance", False),
        ("a/$b/+", "a/$b/c", True),
        ("a//b", "a/b", False),
        ("a//b", "a//b", True),
        ("a/", "a", False),
        ("ACCOUNTS", "Accounts", False),
        ("+/a/#", "x/a", True),
        ("+/#", "x", True),
        ("$share/group/sport/+", "sport/tennis", True),
        ("$share/group/#", "$SYS/x", False),
        ("$share/group//finance", "/finance", True),
        ("$share", "$share", True),
    ],
)
def test_the_examples_of_the_standard_hold(topic_filter: str, topic: str, expected: bool) -> None:
    assert matches(topic_filter, topic) is expected


@given(FILTERS, NAMES)
def test_matching_agrees_with_the_rules_read_naively(topic_filter: str, topic: str) -> None:
    expected = naive_matches(topic_filter, topic)
    assert matches(topic_filter, topic) is expected
    assert matches(f"$share/g/{topic_filter}", topic) is expected


@given(st.lists(FILTERS, max_size=12), NAMES)
def test_a_matcher_finds_what_matching_one_by_one_finds(filters: list[str], topic: str) -> None:
    matcher: Matcher[int] = Matcher()
    for index, topic_filter in enumerate(filters):
        matcher.add(topic_filter, index)
    assert sorted(matcher.match(topic)) == [index for index, each in enumerate(filters) if matches(each, topic)]


@given(st.lists(FILTERS, max_size=12), NAMES)
def test_a_matcher_forgets_what_is_removed(filters: list[str], topic: str) -> None:
    matcher: Matcher[int] = Matcher()
    for index, topic_filter in enumerate(filters):
        matcher.add(topic_filter, index)
    for index, topic_filter in enumerate(filters):
        matcher.remove(topic_filter, index)
    assert matcher.match(topic) == []
    assert matcher._root.children == {}


def test_removing_what_is_not_there_is_an_error() -> None:
    matcher: Matcher[int] = Matcher()
    matcher.add("a/b", 1)
    for topic_filter, value in (("a/b", 2), ("a", 1), ("c", 1)):
        with pytest.raises(KeyError):
            matcher.remove(topic_filter, value)
    assert matcher.match("a/b") == [1]


INVALID_FILTERS = {
    "empty": "",
    "nul": "a\0b",
    "lone surrogate": "a/\ud800",
    "too long": "a" * (MAX_TOPIC_BYTES + 1),
    "too long in bytes": "é" * (MAX_TOPIC_BYTES // 2 + 1),
    "plus inside a level": "a/b+",
    "plus before a level": "+a/b",
    "two pluses in a level": "a/++",
    "hash not last": "a/#/b",
    "hash inside a level": "a/b#",
    "hash twice": "#/#",
    "share without a group": "$share//a",
    "share without a filter": "$share/group",
    "share with an empty filter": "$share/group/",
    "share of nothing": "$share/",
    "share with a wildcard group": "$share/+/a",
    "share with a hash group": "$share/g#/a",
    "share of a bad filter": "$share/group/a/#/b",
}


@pytest.mark.parametrize("topic_filter", INVALID_FILTERS.values(), ids=INVALID_FILTERS)
def test_an_invalid_filter_is_a_typed_error(topic_filter: str) -> None:
    matcher: Matcher[int] = Matcher()
    for use in (check_filter, lambda text: matches(text, "a"), lambda text: matcher.add(text, 1)):
        with pytest.raises(TopicError) as caught:
            use(topic_filter)
        assert caught.value.code is ErrorCode.MESSAGE_INVALID_FILTER
        assert len(str(caught.value)) < 250


INVALID_NAMES = {
    "empty": "",
    "nul": "a\0b",
    "lone surrogate": "\udfff",
    "too long": "a" * (MAX_TOPIC_BYTES + 1),
    "plus": "a/+",
    "hash": "#",
    "wildcard inside a level": "a+b",
}


@pytest.mark.parametrize("topic", INVALID_NAMES.values(), ids=INVALID_NAMES)
def test_an_invalid_name_is_a_typed_error(topic: str) -> None:
    for use in (check_name, lambda text: matches("#", text), Matcher[int]().match):
        with pytest.raises(TopicError) as caught:
            use(topic)
        assert caught.value.code is ErrorCode.MESSAGE_INVALID_TOPIC


@given(
    st.text(st.characters(codec=None) | st.sampled_from("+#/$\0s")), st.text(st.characters(codec=None) | st.sampled_from("/$"))
)
def test_whatever_the_texts_hold_the_answer_is_a_truth_value_or_a_topic_error(topic_filter: str, topic: str) -> None:
    with contextlib.suppress(TopicError):
        assert matches(topic_filter, topic) in (True, False)


def test_the_longest_legal_texts_are_accepted() -> None:
    longest = "a" * MAX_TOPIC_BYTES
    assert matches(longest, longest)
    assert matches("é" * (MAX_TOPIC_BYTES // 2), "é" * (MAX_TOPIC_BYTES // 2))


def test_a_name_of_thirty_thousand_levels_matches_without_recursion() -> None:
    topic = "/".join("a" * 30_000)
    deep = "/".join("+" * 30_000)
    matcher: Matcher[str] = Matcher()
    for topic_filter in (topic, deep, topic[:-1] + "#", deep + "/#"):
        assert matches(topic_filter, topic)
        matcher.add(topic_filter, topic_filter)
    assert len(matcher.match(topic)) == 4
    assert not matches(deep + "/+", topic)


def test_a_shared_filter_comes_apart_into_group_and_filter() -> None:
    assert split_share("$share/workers/devices/+/ack") == ("workers", "devices/+/ack")
    assert split_share("devices/+/ack") == (None, "devices/+/ack")
