"""Keys: read, made, named, trusted for a time, and refused with words when they are no keys."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from allye_protocol.errors import ErrorCode, SigningError
from allye_protocol.signing.keys import (
    Keyring,
    SignatureFault,
    TrustedKey,
    checked_kid,
    load_private_key,
    new_private_pem,
    public_pem,
)

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)

RFC_8032 = {
    "TEST 1": (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    "TEST 2": (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
}
"""RFC 8032 section 7.1: secret key, public key, message, signature."""
SECRET, PUBLIC = (bytes.fromhex(text) for text in RFC_8032["TEST 1"][:2])


def private_pem(key: object, password: bytes | None = None) -> bytes:
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)  # type: ignore[attr-defined]


@pytest.mark.parametrize("vector", RFC_8032.values(), ids=RFC_8032)
def test_the_vectors_of_the_rfc_are_signed_and_verified(vector: tuple[str, str, str, str]) -> None:
    secret, public, message, signature = map(bytes.fromhex, vector)
    key = load_private_key("rfc", new_private_pem(lambda size: secret[:size]))
    assert key.sign(message) == signature
    keyring = Keyring([TrustedKey(kid="rfc", public_key=public)])
    assert keyring.fault("rfc", signature, message, NOW) is None
    assert keyring.fault("rfc", signature, message + b"\0", NOW) is SignatureFault.WRONG
    assert keyring.fault("rfc", signature[:-1], message, NOW) is SignatureFault.WRONG


def test_a_key_is_made_of_the_randomness_that_is_given() -> None:
    pem = new_private_pem(lambda size: SECRET[:size])
    assert pem.startswith(b"-----BEGIN PRIVATE KEY-----")
    assert TrustedKey.from_pem("a", public_pem(pem)).public_key == PUBLIC
    assert new_private_pem(os.urandom) != new_private_pem(os.urandom)


def test_an_encrypted_key_opens_with_its_password_alone() -> None:
    pem = private_pem(Ed25519PrivateKey.from_private_bytes(SECRET), b"secret")
    assert load_private_key("a", pem, b"secret").private_bytes_raw() == SECRET
    assert TrustedKey.from_pem("a", public_pem(pem, b"secret")).public_key == PUBLIC
    for password in (None, b"other"):
        with pytest.raises(SigningError, match="key a cannot be read as a private key"):
            load_private_key("a", pem, password)


NO_PRIVATE_KEYS = {
    "nothing": b"",
    "no PEM": b"\x00\xff",
    "a broken one": b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    "a public key": public_pem(new_private_pem(os.urandom)),
    "another curve": private_pem(ec.generate_private_key(ec.SECP256R1())),
    "another Edwards curve": private_pem(ed448.Ed448PrivateKey.generate()),
}


@pytest.mark.parametrize("pem", NO_PRIVATE_KEYS.values(), ids=NO_PRIVATE_KEYS)
def test_what_is_no_private_key_is_said_to_be_none(pem: bytes) -> None:
    with pytest.raises(SigningError, match=r"^message\.invalid: key cloud-1 ") as caught:
        load_private_key("cloud-1", pem)
    assert caught.value.code is ErrorCode.MESSAGE_INVALID
    assert caught.value.details == {"kid": "cloud-1"}


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        new_private_pem(os.urandom),
        ec.generate_private_key(ec.SECP256R1())
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
    ],
    ids=["nothing", "a broken one", "a private key", "another curve"],
)
def test_what_is_no_public_key_is_said_to_be_none(pem: bytes) -> None:
    with pytest.raises(SigningError, match=r"^message\.invalid: key cloud-1 "):
        TrustedKey.from_pem("cloud-1", pem)


@pytest.mark.parametrize("kid", ["a", "cloud_2026-11", "x" * 64])
def test_a_key_is_named_like_an_id(kid: str) -> None:
    assert checked_kid(kid) == kid


@pytest.mark.parametrize("kid", ["", "x" * 65, "a b", "a\n", "ä"])
def test_another_name_is_refused(kid: str) -> None:
    with pytest.raises(SigningError, match="a key's name is 1 to 64"):
        Keyring([TrustedKey(kid=kid, public_key=PUBLIC)])


def test_several_keys_count_at_once() -> None:
    other = Ed25519PrivateKey.generate()
    keyring = Keyring(
        [TrustedKey(kid="old", public_key=PUBLIC), TrustedKey(kid="new", public_key=other.public_key().public_bytes_raw())]
    )
    old = Ed25519PrivateKey.from_private_bytes(SECRET)
    assert keyring.kids == ("old", "new")
    assert keyring.fault("old", old.sign(b"x"), b"x", NOW) is None
    assert keyring.fault("new", other.sign(b"x"), b"x", NOW) is None
    assert keyring.fault("new", old.sign(b"x"), b"x", NOW) is SignatureFault.WRONG
    assert keyring.fault("third", old.sign(b"x"), b"x", NOW) is SignatureFault.UNKNOWN_KEY


def test_a_key_counts_from_its_first_instant_to_before_its_last() -> None:
    keyring = Keyring([TrustedKey(kid="a", public_key=PUBLIC, not_before=NOW, not_after=NOW + HOUR)])
    signature, instant = Ed25519PrivateKey.from_private_bytes(SECRET).sign(b"x"), timedelta(microseconds=1)
    faults = {
        NOW - instant: SignatureFault.KEY_NOT_YET_VALID,
        NOW: None,
        NOW + HOUR - instant: None,
        NOW + HOUR: SignatureFault.KEY_EXPIRED,
    }
    assert {now: keyring.fault("a", signature, b"x", now) for now in faults} == faults


def test_without_a_clock_the_validity_of_a_key_is_not_judged_but_its_signatures_are() -> None:
    keyring = Keyring([TrustedKey(kid="a", public_key=PUBLIC, not_before=NOW, not_after=NOW + HOUR)])
    signature = Ed25519PrivateKey.from_private_bytes(SECRET).sign(b"x")
    assert keyring.fault("a", signature, b"x", None) is None
    assert keyring.fault("a", signature, b"y", None) is SignatureFault.WRONG


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ([TrustedKey(kid="a", public_key=PUBLIC)] * 2, "comes twice"),
        ([TrustedKey(kid="a", public_key=PUBLIC[1:])], "has 31 bytes"),
        ([TrustedKey(kid="a", public_key=PUBLIC, not_before=NOW.replace(tzinfo=None))], "without an offset"),
        ([TrustedKey(kid="a", public_key=PUBLIC, not_after=NOW.replace(tzinfo=None))], "without an offset"),
        ([TrustedKey(kid="a", public_key=PUBLIC, not_before=NOW, not_after=NOW)], "never valid"),
    ],
    ids=["twice", "short", "naive begin", "naive end", "never"],
)
def test_a_keyring_that_makes_no_sense_is_refused(keys: list[TrustedKey], why: str) -> None:
    with pytest.raises(SigningError, match=why):
        Keyring(keys)


OPENSSL = shutil.which("openssl")


@pytest.mark.skipif(OPENSSL is None, reason="not installed: openssl")
def test_keys_of_openssl_are_read_and_ours_by_openssl(tmp_path: Path) -> None:
    def openssl(*arguments: object) -> bytes:
        command = [str(OPENSSL), *map(str, arguments)]
        return subprocess.run(command, check=True, capture_output=True, timeout=30).stdout

    theirs, ours, signature, message = (tmp_path / name for name in ("theirs.pem", "ours.pem", "signature", "message"))
    openssl("genpkey", "-algorithm", "ed25519", "-out", theirs)
    load_private_key("a", theirs.read_bytes())
    assert openssl("pkey", "-in", theirs, "-pubout") == public_pem(theirs.read_bytes())

    pem = new_private_pem(os.urandom)
    ours.write_bytes(public_pem(pem))
    message.write_bytes(b"payload")
    signature.write_bytes(load_private_key("a", pem).sign(b"payload"))
    verify = ("pkeyutl", "-verify", "-pubin", "-inkey", ours, "-rawin", "-in", message, "-sigfile", signature)
    assert b"Verified Successfully" in openssl(*verify)


def test_cryptography_is_loaded_with_the_first_key_and_missed_with_a_pip_command() -> None:
    program = """
import sys
import allye_protocol, allye_protocol.signing
print(any(name.partition(".")[0] == "cryptography" for name in sys.modules))
sys.modules["cryptography"] = None
try:
    allye_protocol.signing.Keyring([allye_protocol.signing.TrustedKey(kid="a", public_key=bytes(32))])
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)
    loaded, missed = done.stdout.splitlines()
    assert loaded == "False"
    assert 'pip install "allye-protocol[signing]"' in missed
