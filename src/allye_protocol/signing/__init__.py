"""Who sent it: detached Ed25519 signatures (RFC 8032) of what concerns safety, schedules and cancels. Extra ``signing``.

1. What is signed is ``context + NUL + device id + NUL + payload``, with a context for each kind: a signature of one kind, one
   device or one payload is none of another. The payload is signed as it travels: every version and encoding is signed alike,
   and a signature can be checked before anything is parsed.
2. A signature travels beside the payload, in two MQTT 5 user properties: ``sig``, the 64 bytes in base64url without padding,
   and ``kid``, the name of the key. Each comes once; there is one spelling of each signature.
3. Whatever is there must be right. A policy decides about absence alone: ``accept`` lets an unsigned message pass and refuses
   a badly signed one, as ``require`` does.
4. A signature says who and what, not when: that a message is not repeated or late is for admission to decide, by sequence,
   digest and time.
5. Nothing here is random and nothing is read from files: keys come as bytes. ``cryptography`` is imported when the first key
   is made.
"""

from __future__ import annotations

from allye_protocol.signing.frames import (
    CONTEXTS,
    KEY_PROPERTY,
    SIGNATURE_PROPERTY,
    FrameSigner,
    FrameVerifier,
    SignaturePolicy,
    Signer,
    Verifier,
    signed_bytes,
)
from allye_protocol.signing.keys import Keyring, SignatureFault, TrustedKey, new_private_pem, public_pem

__all__ = [
    "CONTEXTS",
    "KEY_PROPERTY",
    "SIGNATURE_PROPERTY",
    "FrameSigner",
    "FrameVerifier",
    "Keyring",
    "SignatureFault",
    "SignaturePolicy",
    "Signer",
    "TrustedKey",
    "Verifier",
    "new_private_pem",
    "public_pem",
    "signed_bytes",
]
