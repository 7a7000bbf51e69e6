"""Keys from files: what is configured is what counts, and what cannot be used names its key."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime

import pytest

from allye_device.config import ConfigError, KeyConfig, SigningConfig
from allye_device.trusted import verifier_of
from allye_protocol.frame import Frame
from allye_protocol.messages import Kind
from allye_protocol.signing import SignaturePolicy, Signer, new_private_pem, public_pem

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def signer(tmp_path):
    pem = new_private_pem(os.urandom)
    (tmp_path / "cloud.pub").write_bytes(public_pem(pem))
    return Signer.from_pem("cloud-1", pem)


def signing(tmp_path, policy="require", **key):
    return SigningConfig(policy=policy, keys={"cloud-1": KeyConfig(file=str(tmp_path / "cloud.pub"), **key)})


def test_nothing_is_checked_unless_it_is_configured(make_config):
    assert verifier_of(make_config()) is None


def test_the_configured_keys_count_for_their_time(make_config, tmp_path, signer):
    verifier = verifier_of(make_config(signing=signing(tmp_path, not_after=NOW)))
    assert verifier is not None
    assert verifier.policy is SignaturePolicy.REQUIRE
    signed = Frame(topic="x", payload=b"1", user_properties=signer.sign(Kind.CANCEL, "max300-1", b"1"))
    assert verifier.check(signed, Kind.CANCEL, "max300-1", datetime(2026, 2, 1, tzinfo=UTC)) is None
    assert verifier.check(signed, Kind.CANCEL, "max300-1", NOW) is not None


def test_a_key_that_is_not_there_is_named(make_config, tmp_path):
    with pytest.raises(ConfigError, match=r"signing\.keys\.cloud-1\.file: cannot read"):
        verifier_of(make_config(signing=signing(tmp_path)))


def test_a_file_that_is_no_key_is_named(make_config, tmp_path):
    (tmp_path / "cloud.pub").write_text("a letter")
    with pytest.raises(ConfigError, match=r"signing\.keys: key cloud-1 cannot be read as a public key"):
        verifier_of(make_config(signing=signing(tmp_path)))


def test_a_missing_package_is_named_with_its_command(make_config, tmp_path, signer, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "cryptography"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(ConfigError, match=r'signing\.policy: require needs more: .*pip install "allye-protocol\[signing\]"'):
        verifier_of(make_config(signing=signing(tmp_path)))
