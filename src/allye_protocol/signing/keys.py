"""Keys by name: private ones read and made, public ones trusted for a time."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import msgspec

from allye_protocol.errors import ErrorCode, SigningError
from allye_protocol.extras import require
from allye_protocol.ids import MAX_ID_CHARS, is_id

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

    from allye_protocol.tracing import RandomBytes

__all__ = [
    "Keyring",
    "SignatureFault",
    "TrustedKey",
    "checked_kid",
    "load_private_key",
    "new_private_pem",
    "public_pem",
]

KEY_BYTES: Final = 32


class SignatureFault(StrEnum):
    """What is wrong with a message's signature: ``details["fault"]`` of the problem."""

    MISSING = "missing"
    SEVERAL = "several"
    MALFORMED = "malformed"
    UNKNOWN_KEY = "unknown_key"
    KEY_NOT_YET_VALID = "key_not_yet_valid"
    KEY_EXPIRED = "key_expired"
    WRONG = "wrong"


class TrustedKey(msgspec.Struct, frozen=True, kw_only=True):
    """A public key that messages may be signed with.

    :param kid: its name.
    :param public_key: its 32 bytes (RFC 8032, section 5.1.2).
    :param not_before: the first instant at which it counts; ``None`` for always.
    :param not_after: the first instant at which it no longer counts; ``None`` for never.
    """

    kid: str
    public_key: bytes
    not_before: datetime | None = None
    not_after: datetime | None = None

    @classmethod
    def from_pem(
        cls, kid: str, pem: bytes, *, not_before: datetime | None = None, not_after: datetime | None = None
    ) -> TrustedKey:
        """Read a public key as ``openssl pkey -pubout`` writes it (SubjectPublicKeyInfo, PEM).

        :raises SigningError: ``message.invalid`` for what is no such key.
        """
        loaded = _loaded(kid, "public", _serialization().load_pem_public_key, pem)
        if not isinstance(loaded, _ed25519().Ed25519PublicKey):
            raise _bad_key(kid, f"is not an Ed25519 key but {type(loaded).__name__}")
        raw = loaded.public_bytes_raw()
        return cls(kid=kid, public_key=raw, not_before=not_before, not_after=not_after)


class Keyring:
    """The public keys that count, by name. Several count at once, so that a new one can be used before the old one is dropped.

    :param keys: any number of them, with different names.
    :raises SigningError: ``message.invalid`` for a name that is none or comes twice, a key that is none, and a validity
        without an offset, or that ends before it begins.
    """

    def __init__(self, keys: Iterable[TrustedKey]) -> None:
        self._keys: Final[dict[str, tuple[TrustedKey, Ed25519PublicKey]]] = {}
        for key in keys:
            if checked_kid(key.kid) in self._keys:
                raise _bad_key(key.kid, "comes twice; every key has its own name")
            _check_validity(key)
            if len(key.public_key) != KEY_BYTES:
                raise _bad_key(key.kid, f"has {len(key.public_key)} bytes; an Ed25519 public key has {KEY_BYTES}")
            self._keys[key.kid] = (key, _ed25519().Ed25519PublicKey.from_public_bytes(key.public_key))

    @property
    def kids(self) -> tuple[str, ...]:
        """The names of the keys."""
        return tuple(self._keys)

    def fault(self, kid: str, signature: bytes, signed: bytes, now: datetime | None) -> SignatureFault | None:
        """What is wrong with a signature, if anything.

        :param now: the time at which the key must count; ``None`` where no clock can be relied on: its validity is not judged.
        """
        if kid not in self._keys:
            return SignatureFault.UNKNOWN_KEY
        key, public_key = self._keys[kid]
        if now is not None and key.not_before is not None and now < key.not_before:
            return SignatureFault.KEY_NOT_YET_VALID
        if now is not None and key.not_after is not None and now >= key.not_after:
            return SignatureFault.KEY_EXPIRED
        try:
            public_key.verify(signature, signed)
        except require("cryptography.exceptions", "signing").InvalidSignature:
            return SignatureFault.WRONG
        return None


def checked_kid(kid: str) -> str:
    """A key's name, when it is one.

    :raises SigningError: ``message.invalid`` when it is not.
    """
    if not is_id(kid):
        message = f"a key's name is 1 to {MAX_ID_CHARS} characters of A-Z a-z 0-9 _ -, not {kid[:MAX_ID_CHARS]!r}"
        raise SigningError(ErrorCode.MESSAGE_INVALID, message)
    return kid


def load_private_key(kid: str, pem: bytes, password: bytes | None = None) -> Ed25519PrivateKey:
    """Read a private key.

    :param kid: its name, for the error.
    :raises SigningError: ``message.invalid`` for what is no Ed25519 key, or does not open with the password.
    """
    loaded = _loaded(kid, "private", _serialization().load_pem_private_key, pem, password)
    private_key_type: type[Ed25519PrivateKey] = _ed25519().Ed25519PrivateKey
    if not isinstance(loaded, private_key_type):
        raise _bad_key(kid, f"is not an Ed25519 key but {type(loaded).__name__}")
    return loaded


def new_private_pem(random_bytes: RandomBytes) -> bytes:
    """Make a private key: PKCS 8 in PEM, not encrypted. Keep it where only the signer can read it.

    :param random_bytes: where it comes from: ``os.urandom``, and nothing weaker outside tests.
    """
    key, serialization = _ed25519().Ed25519PrivateKey.from_private_bytes(random_bytes(KEY_BYTES)), _serialization()
    pem: bytes = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return pem


def public_pem(private_pem: bytes, password: bytes | None = None) -> bytes:
    """The public key of a private one: SubjectPublicKeyInfo in PEM, to be given to devices.

    :param password: of an encrypted key.
    :raises SigningError: ``message.invalid`` for what is no Ed25519 key, or does not open with the password.
    """
    key, serialization = load_private_key("private", private_pem, password).public_key(), _serialization()
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _check_validity(key: TrustedKey) -> None:
    for instant in (key.not_before, key.not_after):
        if instant is not None and instant.tzinfo is None:
            raise _bad_key(key.kid, f"has a validity without an offset, {instant.isoformat()}; write it in UTC")
    if key.not_before is not None and key.not_after is not None and key.not_before >= key.not_after:
        raise _bad_key(key.kid, "is never valid: not_after is not later than not_before")


def _loaded(kid: str, what: str, load: Any, *arguments: object) -> Any:
    """Read a PEM; what ``cryptography`` says of a wrong one depends on how it is wrong."""
    unsupported = require("cryptography.exceptions", "signing").UnsupportedAlgorithm
    try:
        return load(*arguments)
    except (ValueError, TypeError, unsupported) as error:
        raise _bad_key(kid, f"cannot be read as a {what} key in PEM: {error}") from None


def _bad_key(kid: str, why: str) -> SigningError:
    return SigningError(ErrorCode.MESSAGE_INVALID, f"key {kid} {why}", details={"kid": kid})


def _ed25519() -> Any:
    return require("cryptography.hazmat.primitives.asymmetric.ed25519", "signing")


def _serialization() -> Any:
    return require("cryptography.hazmat.primitives.serialization", "signing")
