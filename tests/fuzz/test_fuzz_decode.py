"""The fuzzer in small, and that it would notice."""

from __future__ import annotations

import random

import pytest

from allye_protocol.codec import json as json_encoding
from allye_protocol.messages.registry import Kind
from tests.fuzz import fuzz_decode

SEED = 20181028


def test_five_thousand_payloads_keep_every_promise() -> None:
    codes = fuzz_decode.fuzz(5_000, SEED)
    assert codes.total() == 5_000
    assert codes["valid"] > 500, "most payloads must come close enough to be worth it"
    assert len(codes) > 8, codes


def test_a_seed_brings_the_same_payloads_back() -> None:
    one, other = random.Random(SEED), random.Random(SEED)
    assert [fuzz_decode.case(one) for _ in range(200)] == [fuzz_decode.case(other) for _ in range(200)]


def test_a_fast_road_that_clears_everything_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    read, _ = json_encoding._FAST[Kind.SCHEDULE]
    monkeypatch.setitem(json_encoding._FAST, Kind.SCHEDULE, (read, lambda payload, message: True))
    with pytest.raises(fuzz_decode.BrokenPromiseError, match=f"seed {SEED}, payload "):
        fuzz_decode.fuzz(2_000, SEED)


def test_an_exception_that_is_no_decode_error_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(payload: bytes, message: object) -> bool:
        raise LookupError("from the checks")

    read, _ = json_encoding._FAST[Kind.ACK]
    monkeypatch.setitem(json_encoding._FAST, Kind.ACK, (read, broken))
    with pytest.raises(fuzz_decode.BrokenPromiseError, match="LookupError: from the checks"):
        fuzz_decode.fuzz(2_000, SEED)
