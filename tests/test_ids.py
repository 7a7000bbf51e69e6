"""Ids: what is one, what is not, and that only ids are made."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allye_protocol.errors import ErrorCode, IdError
from allye_protocol.ids import MAX_ID_CHARS, device_id, is_id, schedule_id, spells_ids
from tests.strategies import ids

NO_IDS = {
    "empty": "",
    "65 characters": "a" * 65,
    "a trailing newline": "max300\n",
    "a leading newline": "\nmax300",
    "a newline alone": "\n",
    "a space": "max 300",
    "a slash": "a/b",
    "a plus": "+",
    "a hash": "#",
    "a dollar": "$SYS",
    "a dot": "a.b",
    "a colon": "a:b",
    "NUL": "a\0",
    "an umlaut": "gerät",
    "a letter of another script": "\u0430",
    "a digit of another script": "\u0663",
    "a wide letter that normalises to ASCII": "\uff21",
    "a ligature that normalises to ASCII": "\ufb01",
    "an underscore of another width": "\uff3f",
    "a soft hyphen": "a\u00adb",
    "a dash": "a\u2013b",
    "a lone surrogate": "\ud800",
    "control sequences": "\x1b[31m",
}


@given(ids)
def test_an_id_is_made_of_itself(text: str) -> None:
    assert is_id(text)
    assert device_id(text) == text
    assert schedule_id(text) == text


@pytest.mark.parametrize("text", ["a", "Z", "0", "_", "-", "--", "9-a", "class", "a" * MAX_ID_CHARS])
def test_short_odd_and_long_ids(text: str) -> None:
    assert is_id(text)


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in NO_IDS.items()])
def test_what_is_no_id_is_refused_and_shown_on_one_line(text: str) -> None:
    assert not is_id(text)
    for make in (device_id, schedule_id):
        with pytest.raises(IdError) as caught:
            make(text)
        assert caught.value.code is ErrorCode.MESSAGE_INVALID
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 200


@given(st.text(max_size=70) | st.text(st.characters(max_codepoint=127), max_size=70))
def test_an_id_is_what_its_expression_says(text: str) -> None:
    assert is_id(text) is bool(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", text))


@given(st.lists(st.text(st.characters(max_codepoint=300), min_size=1, max_size=10), min_size=1, max_size=4))
def test_texts_together_spell_ids_exactly_when_each_is_one(texts: list[str]) -> None:
    assert spells_ids("".join(texts)) is all(map(is_id, texts))
