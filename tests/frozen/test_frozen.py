"""What was ever said is still understood: samples of every released version, kind and encoding, with what they mean."""

from __future__ import annotations

import base64
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest

from allye_protocol import codec
from allye_protocol.convert import decode, upgrade
from allye_protocol.digest import digest
from allye_protocol.messages import Kind, Schedule
from allye_protocol.messages.registry import KINDS

HERE = Path(__file__).parent
HASHES = {"0.2.0": "40d56d310f23f7e54cb4b2fd28a6ba0f015865d0cecd95e157b39389914ca5ad"}
"""The SHA-256 of each file of samples. A file is added when a number is released, and none is ever changed."""
SAMPLES: list[tuple[str, dict[str, Any]]] = [
    (f"{number}-{sample['kind']}-v{sample['version']}-{sample['content_type']}-{index}", sample)
    for number in HASHES
    for index, sample in enumerate(json.loads((HERE / f"{number}.json").read_text(encoding="utf-8")))
]


def test_no_sample_is_changed_and_none_is_left_out() -> None:
    found = {path.stem: sha256(path.read_bytes()).hexdigest() for path in HERE.glob("*.json")}
    assert found == HASHES


def test_there_are_samples_of_every_kind_version_and_encoding() -> None:
    frozen = {(sample["kind"], sample["version"], sample["content_type"]) for _, sample in SAMPLES}
    expected = {
        (str(kind), version, content_type)
        for kind, version in KINDS
        for content_type, encoding in codec.ENCODINGS.items()
        if version in encoding.versions
    }
    assert frozen >= expected


@pytest.mark.parametrize("sample", [sample for _, sample in SAMPLES], ids=[name for name, _ in SAMPLES])
def test_a_frozen_message_is_read_as_it_always_was(sample: dict[str, Any]) -> None:
    payload = base64.b64decode(sample["payload_base64"])
    kind = Kind(sample["kind"])
    expected = msgspec.convert(sample["message"], KINDS[kind, sample["version"]].struct)
    for content_type in (sample["content_type"], None):
        written = codec.decode(payload, kind, content_type)
        assert written == expected
        newest = decode(payload, kind, content_type)
        assert newest == upgrade(expected)
        if isinstance(newest, Schedule):
            assert digest(newest) == sample["digest"]
