"""The fuzzer in small, and that it would notice."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from allye_protocol.codec import ENCODINGS, JSON, MSGPACK, PROTOBUF
from allye_protocol.codec import json as json_encoding
from allye_protocol.codec import msgpack as msgpack_encoding
from allye_protocol.messages.registry import Kind
from tests.fuzz import fuzz_decode

if TYPE_CHECKING:
    from types import ModuleType

SEED = 20181028
MODULES = {JSON: json_encoding, MSGPACK: msgpack_encoding}
encodings = pytest.mark.parametrize(
    "content_type",
    [
        JSON,
        MSGPACK,
        pytest.param(PROTOBUF, marks=pytest.mark.skipif(PROTOBUF not in ENCODINGS, reason="not installed: protobuf")),
    ],
)


@encodings
def test_three_thousand_payloads_keep_every_promise(content_type: str) -> None:
    codes = fuzz_decode.fuzz(3_000, SEED, content_type)
    assert codes.total() == 3_000
    assert codes["valid"] > 250, "most payloads must come close enough to be worth it"
    assert len(codes) > 7, codes


@encodings
def test_a_seed_brings_the_same_payloads_back(content_type: str) -> None:
    one, other = random.Random(SEED), random.Random(SEED)
    assert [fuzz_decode.case(one, content_type) for _ in range(200)] == [
        fuzz_decode.case(other, content_type) for _ in range(200)
    ]


@pytest.mark.parametrize(("content_type", "module"), MODULES.items(), ids=["json", "msgpack"])
def test_a_fast_road_that_clears_everything_is_found_out(
    monkeypatch: pytest.MonkeyPatch, content_type: str, module: ModuleType
) -> None:
    name = "has_only_members_json" if content_type == JSON else "has_only_members_msgpack"
    monkeypatch.setattr(module, name, lambda body, message: True)
    with pytest.raises(fuzz_decode.BrokenPromiseError, match=f"seed {SEED}, payload "):
        fuzz_decode.fuzz(3_000, SEED, content_type)


@pytest.mark.parametrize(("content_type", "module"), MODULES.items(), ids=["json", "msgpack"])
def test_an_exception_that_is_no_decode_error_is_found_out(
    monkeypatch: pytest.MonkeyPatch, content_type: str, module: ModuleType
) -> None:
    explain: Any = module.explain

    def broken(tree: object, kind: Kind, spoken: tuple[int, ...]) -> object:
        if kind is Kind.ACK:
            raise LookupError("from the checks")
        return explain(tree, kind, spoken)

    monkeypatch.setattr(module, "explain", broken)
    with pytest.raises(fuzz_decode.BrokenPromiseError, match="LookupError: from the checks"):
        fuzz_decode.fuzz(2_000, SEED, content_type)
