"""The writer of YAML: what it writes is read back as it was, by a reader of YAML 1.1, which is the stricter case."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allye_protocol.schema.yaml import COLUMNS, dump

yaml = pytest.importorskip("yaml", reason="not installed: PyYAML")

AMBIGUOUS = """
    yes No on OFF y true Null ~ 1 1e3 1.0 0x1f 1_000 012 12:30 .inf .nan 2018-07-01 - ? : # | > ! & * % @ `x` {} [] a: #a = <<
    """
texts = st.one_of(
    st.text(),
    st.text("ab \n:#-|>!,[]{}'\"y1.e+", max_size=20),
    st.sampled_from(["", " a", "a ", "a\n\n", "\na", *AMBIGUOUS.split()]),
)
data = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), texts),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(texts.map(lambda text: text[:100]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(data)
def test_what_is_written_is_read_back(document: Any) -> None:
    text = dump(document)
    assert text.isascii()
    assert text.endswith("\n")
    assert yaml.safe_load(text) == document


def test_it_is_written_for_people() -> None:
    document = {
        "title": "Two words",
        "version": "2",
        "on": [1, "a", None],
        "text": "First line.\nSecond: line.\n",
        "list": [{"name": "a", "of": [[]]}, {}],
    }
    assert dump(document).splitlines() == [
        "title: Two words",
        'version: "2"',
        '"on": [1, a, null]',
        "text: |",
        "  First line.",
        "  Second: line.",
        "list:",
        "  - name: a",
        "    of: [[]]",
        "  - {}",
    ]


def test_a_long_list_is_one_item_a_line() -> None:
    words = [f"word-{index}" for index in range(30)]
    lines = dump({"words": words}).splitlines()
    assert lines == ["words:", *(f"  - {word}" for word in words)]
    assert len(", ".join(words)) > COLUMNS
