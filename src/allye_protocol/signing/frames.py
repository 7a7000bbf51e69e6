"""Signatures on frames: made, and checked under a policy."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

from allye_protocol.errors import ErrorCode, Problem, SigningError
from allye_protocol.ids import is_id
from allye_protocol.messages import Kind
from allye_protocol.signing.keys import Keyring, SignatureFault, checked_kid, load_private_key

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from allye_protocol.frame import Frame

__all__ = [
    "CONTEXTS",
    "KEY_PROPERTY",
    "SIGNATURE_PROPERTY",
    "FrameSigner",
    "FrameVerifier",
    "SignaturePolicy",
    "Signer",
    "Verifier",
    "signed_bytes",
]

SIGNATURE_PROPERTY: Final = "sig"
KEY_PROPERTY: Final = "kid"
CONTEXTS: Final = {Kind.SCHEDULE: b"allye-schedule-v1", Kind.CANCEL: b"allye-cancel-v1"}
"""The kinds that are signed, and what their signatures begin with."""
SIGNATURE_BYTES: Final = 64


class SignaturePolicy(StrEnum):
    """What a device does about signatures."""

    OFF = "off"
    """Not looked at."""
    ACCEPT = "accept"
    """Verified where there is one: for the time in which a fleet is moved to signed schedules."""
    REQUIRE = "require"
    """There must be one."""


class FrameSigner(Protocol):
    """What a cloud session signs with: :class:`Signer`, or an app's own that asks a key service."""

    def sign(self, kind: Kind, device_id: str, payload: bytes) -> tuple[tuple[str, str], ...]:
        """The signature of a payload, as user properties."""
        ...


class FrameVerifier(Protocol):
    """What a device session has signatures checked by: :class:`Verifier`, or an app's own over a secure element."""

    def check(self, frame: Frame, kind: Kind, device_id: str, now: datetime | None) -> Problem | None:
        """What is wrong with a message's signature, or ``None`` when it may pass."""
        ...


def signed_bytes(kind: Kind, device_id: str, payload: bytes) -> bytes:
    """What the signature of a message is a signature of.

    :param kind: schedule or cancel.
    :param device_id: the device it is for: the one of the topic, and for a receiver its own.
    :param payload: the application payload, as it travels.
    :raises ValueError: for a kind that is not signed (a bug in the caller).
    """
    if kind not in CONTEXTS:
        raise ValueError(f"a {kind} is not signed; {' and '.join(CONTEXTS)} are")
    return b"\0".join((CONTEXTS[kind], device_id.encode("ascii"), payload))


class Signer:
    """A private key and its name.

    :param kid: the key's name, which receivers know its public key by: made like an id.
    :param private_key: an ``Ed25519PrivateKey`` of ``cryptography``, or of anything that signs as it does.
    :raises SigningError: ``message.invalid`` for a name that is none.
    """

    def __init__(self, kid: str, private_key: Ed25519PrivateKey) -> None:
        self.kid: Final = checked_kid(kid)
        self._private_key: Final = private_key

    @classmethod
    def from_pem(cls, kid: str, pem: bytes, password: bytes | None = None) -> Signer:
        """Read a private key as ``openssl genpkey -algorithm ed25519`` writes it (PKCS 8, PEM).

        :param password: of an encrypted key.
        :raises SigningError: ``message.invalid`` for what is no such key, or does not open with the password.
        """
        return cls(kid, load_private_key(kid, pem, password))

    def sign(self, kind: Kind, device_id: str, payload: bytes) -> tuple[tuple[str, str], ...]:
        """The signature of a payload, as user properties.

        :raises ValueError: for a kind that is not signed.
        """
        signature = self._private_key.sign(signed_bytes(kind, device_id, payload))
        return ((SIGNATURE_PROPERTY, _written(signature)), (KEY_PROPERTY, self.kid))


class Verifier:
    """A policy over a keyring.

    :param policy: what is done about absence.
    :param keyring: whom to believe; may be left out with ``off`` alone.
    :raises SigningError: ``message.invalid`` for a policy that looks at signatures and knows no key: it could only refuse.
    """

    def __init__(self, policy: SignaturePolicy, keyring: Keyring | None = None) -> None:
        if policy is not SignaturePolicy.OFF and (keyring is None or not keyring.kids):
            raise SigningError(ErrorCode.MESSAGE_INVALID, f"signature policy {policy} needs at least one trusted key")
        self.policy: Final = policy
        self._keyring: Final = keyring or Keyring(())

    def check(self, frame: Frame, kind: Kind, device_id: str, now: datetime | None) -> Problem | None:
        """What is wrong with a message's signature, or ``None`` when it may pass.

        :param frame: the message.
        :param kind: schedule or cancel.
        :param device_id: the receiver.
        :param now: the receiver's time; ``None`` while its clock cannot be relied on: then the keys' validity is not judged, so
            that a device which boots in 1970 does not refuse for good what it could take a minute later. What depends on the
            time is refused by admission until then.
        :returns: ``message.bad_signature`` with ``details["fault"]``, a :class:`SignatureFault`, and ``details["kid"]``.
        :raises ValueError: for a kind that is not signed.
        """
        if self.policy is SignaturePolicy.OFF:
            return None
        signed = signed_bytes(kind, device_id, frame.payload)
        texts = [value for name, value in frame.user_properties if name == SIGNATURE_PROPERTY]
        kids = [value for name, value in frame.user_properties if name == KEY_PROPERTY]
        if not texts and not kids:
            return _problem(SignatureFault.MISSING) if self.policy is SignaturePolicy.REQUIRE else None
        if len(texts) > 1 or len(kids) > 1:
            return _problem(SignatureFault.SEVERAL)
        signature = _read(texts[0]) if texts else None
        if signature is None or not kids or not is_id(kids[0]):
            return _problem(SignatureFault.MALFORMED)
        fault = self._keyring.fault(kids[0], signature, signed, now)
        return None if fault is None else _problem(fault, kids[0])


_FAULTS: Final = {
    SignatureFault.MISSING: "the message is not signed; this device takes signed ones only",
    SignatureFault.SEVERAL: f"more than one {SIGNATURE_PROPERTY} or {KEY_PROPERTY}; which one is meant cannot be known",
    SignatureFault.MALFORMED: (
        f"needs {SIGNATURE_PROPERTY}, {SIGNATURE_BYTES} bytes in base64url without padding, and {KEY_PROPERTY}, a key's name"
    ),
    SignatureFault.UNKNOWN_KEY: "this device does not know the key; give devices a new public key before signing with it",
    SignatureFault.KEY_NOT_YET_VALID: "the key does not count yet",
    SignatureFault.KEY_EXPIRED: "the key counts no longer; sign with a newer one",
    SignatureFault.WRONG: "the signature is not this key's for this device, kind and payload",
}


def _problem(fault: SignatureFault, kid: str | None = None) -> Problem:
    details = {"fault": fault.value} if kid is None else {"fault": fault.value, "kid": kid}
    return Problem(code=ErrorCode.MESSAGE_BAD_SIGNATURE, message=_FAULTS[fault], details=details)


def _written(signature: bytes) -> str:
    return urlsafe_b64encode(signature).rstrip(b"=").decode("ascii")


def _read(text: str) -> bytes | None:
    """The signature that a text spells, if it is the one way of spelling it."""
    try:
        signature = urlsafe_b64decode(text + "==")
    except ValueError:
        return None
    return signature if len(signature) == SIGNATURE_BYTES and _written(signature) == text else None
