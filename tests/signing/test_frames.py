"""Signatures on frames: right for one kind, device and payload alone, and absent only where the policy allows it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from allye_protocol.errors import ErrorCode, SigningError
from allye_protocol.frame import Frame
from allye_protocol.messages import Kind
from allye_protocol.signing import (
    FrameSigner,
    FrameVerifier,
    Keyring,
    SignatureFault,
    SignaturePolicy,
    Signer,
    TrustedKey,
    Verifier,
    new_private_pem,
    public_pem,
    signed_bytes,
)

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DEVICE = "max300-0001"
BODY = b'{"version":2}'
SECRET = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PEM = new_private_pem(lambda size: SECRET[:size])
SIGNER = Signer.from_pem("cloud-1", PEM)
KEY = TrustedKey.from_pem("cloud-1", public_pem(PEM))
SCHEDULE_SIG = "TVqOukjKscfNlWf2TWB95dyQQzh176Mj0tturnuGCcd_VDlk_gQlKkXHb6ZqwXhMlvS50n4Y817Gq4YP1c0HAA"
CANCEL_SIG = "JclJbG1dQpL5x5Thqq8Q4W-pIGS95fp-52nk7izovNGV2i6Rww3D-S_B07Mn2XzyK4T89cc4eGfmjaZP0PMdCQ"
SIGNED = (("sig", SCHEDULE_SIG), ("kid", "cloud-1"))
LOOKING = [SignaturePolicy.ACCEPT, SignaturePolicy.REQUIRE]
ids = st.text("abcXYZ019_-", min_size=1, max_size=64)


def frame(*properties: tuple[str, str], payload: bytes = BODY) -> Frame:
    return Frame(topic=f"devices/{DEVICE}/schedule", payload=payload, user_properties=properties)


def fault(
    verifier: FrameVerifier, message: Frame, kind: Kind = Kind.SCHEDULE, device_id: str = DEVICE
) -> SignatureFault | None:
    problem = verifier.check(message, kind, device_id, NOW)
    if problem is None:
        return None
    assert problem.code is ErrorCode.MESSAGE_BAD_SIGNATURE
    return SignatureFault(problem.details["fault"])


def verifier(policy: SignaturePolicy, *keys: TrustedKey) -> Verifier:
    return Verifier(policy, Keyring(keys or [KEY]))


def test_what_is_signed_is_the_context_the_device_and_the_payload() -> None:
    assert signed_bytes(Kind.SCHEDULE, DEVICE, BODY) == b'allye-schedule-v1\0max300-0001\0{"version":2}'
    assert signed_bytes(Kind.CANCEL, DEVICE, BODY) == b'allye-cancel-v1\0max300-0001\0{"version":2}'


@pytest.mark.parametrize("kind", set(Kind) - {Kind.SCHEDULE, Kind.CANCEL})
def test_nothing_else_is_signed(kind: Kind) -> None:
    with pytest.raises(ValueError, match="schedule and cancel are"):
        SIGNER.sign(kind, DEVICE, BODY)
    with pytest.raises(ValueError, match="schedule and cancel are"):
        verifier(SignaturePolicy.REQUIRE).check(frame(*SIGNED), kind, DEVICE, NOW)


def test_a_signature_is_the_same_for_ever() -> None:
    assert SIGNER.sign(Kind.SCHEDULE, DEVICE, BODY) == SIGNED
    assert SIGNER.sign(Kind.CANCEL, DEVICE, BODY) == (("sig", CANCEL_SIG), ("kid", "cloud-1"))


@given(st.sampled_from([Kind.SCHEDULE, Kind.CANCEL]), ids, st.binary(), st.sampled_from(LOOKING))
def test_what_is_signed_passes(kind: Kind, device_id: str, payload: bytes, policy: SignaturePolicy) -> None:
    message = frame(("traceparent", "x"), *SIGNER.sign(kind, device_id, payload), payload=payload)
    assert fault(verifier(policy), message, kind, device_id) is None


@given(
    st.tuples(st.sampled_from([Kind.SCHEDULE, Kind.CANCEL]), ids, st.binary()),
    st.tuples(st.sampled_from([Kind.SCHEDULE, Kind.CANCEL]), ids, st.binary()),
)
def test_a_signature_is_for_one_kind_device_and_payload(signed: tuple[Kind, str, bytes], seen: tuple[Kind, str, bytes]) -> None:
    kind, device_id, payload = seen
    found = fault(verifier(SignaturePolicy.REQUIRE), frame(*SIGNER.sign(*signed), payload=payload), kind, device_id)
    assert found is (None if signed == seen else SignatureFault.WRONG)


@given(st.integers(0, 85), st.sampled_from("ABCDwxyz0189-_"))
def test_a_signature_with_another_character_is_refused(place: int, char: str) -> None:
    text = SCHEDULE_SIG[:place] + char + SCHEDULE_SIG[place + 1 :]
    found = fault(verifier(SignaturePolicy.ACCEPT), frame(("sig", text), ("kid", "cloud-1")))
    assert (found is None) is (text == SCHEDULE_SIG)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [(SignaturePolicy.OFF, None), (SignaturePolicy.ACCEPT, None), (SignaturePolicy.REQUIRE, SignatureFault.MISSING)],
)
def test_an_unsigned_message_is_refused_where_a_signature_is_required(
    policy: SignaturePolicy, expected: SignatureFault | None
) -> None:
    assert fault(verifier(policy), frame(("traceparent", "x"))) is expected


BAD = {
    "signature without key": ((SIGNED[0],), SignatureFault.MALFORMED),
    "key without signature": ((SIGNED[1],), SignatureFault.MALFORMED),
    "two signatures": ((*SIGNED, SIGNED[0]), SignatureFault.SEVERAL),
    "two keys": ((*SIGNED, ("kid", "cloud-2")), SignatureFault.SEVERAL),
    "twice the same": (SIGNED * 2, SignatureFault.SEVERAL),
    "empty": ((("sig", ""), SIGNED[1]), SignatureFault.MALFORMED),
    "with padding": ((("sig", SCHEDULE_SIG + "=="), SIGNED[1]), SignatureFault.MALFORMED),
    "the other alphabet": ((("sig", SCHEDULE_SIG.replace("_", "/")), SIGNED[1]), SignatureFault.MALFORMED),
    "bits that do not count": ((("sig", SCHEDULE_SIG[:-1] + "B"), SIGNED[1]), SignatureFault.MALFORMED),
    "too short": ((("sig", SCHEDULE_SIG[:-2]), SIGNED[1]), SignatureFault.MALFORMED),
    "too long": ((("sig", SCHEDULE_SIG + "AA"), SIGNED[1]), SignatureFault.MALFORMED),
    "a line break": ((("sig", SCHEDULE_SIG[:40] + "\n" + SCHEDULE_SIG[40:]), SIGNED[1]), SignatureFault.MALFORMED),
    "no ASCII": ((("sig", SCHEDULE_SIG[:-1] + "é"), SIGNED[1]), SignatureFault.MALFORMED),
    "hex": ((("sig", "ab" * 64), SIGNED[1]), SignatureFault.MALFORMED),
    "a key's name that is none": ((SIGNED[0], ("kid", "cloud 1")), SignatureFault.MALFORMED),
    "unknown key": ((SIGNED[0], ("kid", "cloud-9")), SignatureFault.UNKNOWN_KEY),
    "signature of another kind": ((("sig", CANCEL_SIG), SIGNED[1]), SignatureFault.WRONG),
    "all zero": ((("sig", "A" * 86), SIGNED[1]), SignatureFault.WRONG),
}


@pytest.mark.parametrize("policy", LOOKING)
@pytest.mark.parametrize(("properties", "expected"), BAD.values(), ids=BAD)
def test_a_signature_that_is_there_must_be_right(
    policy: SignaturePolicy, properties: tuple[tuple[str, str], ...], expected: SignatureFault
) -> None:
    assert fault(verifier(policy), frame(*properties)) is expected
    assert fault(Verifier(SignaturePolicy.OFF), frame(*properties)) is None


@given(st.text(), st.text())
def test_any_texts_are_a_fault_and_no_exception(sig: str, kid: str) -> None:
    assert fault(verifier(SignaturePolicy.ACCEPT), frame(("sig", sig), ("kid", kid))) is not None


def test_a_key_is_rotated_without_a_moment_in_which_nothing_passes() -> None:
    new_pem = new_private_pem(lambda size: bytes(range(size)))
    new, day = Signer.from_pem("cloud-2", new_pem), timedelta(days=1)
    old_key = TrustedKey.from_pem("cloud-1", public_pem(PEM), not_after=NOW + day)
    device = verifier(
        SignaturePolicy.REQUIRE, old_key, TrustedKey.from_pem("cloud-2", public_pem(new_pem), not_before=NOW - day)
    )
    by_old, by_new = (frame(*signer.sign(Kind.SCHEDULE, DEVICE, BODY)) for signer in (SIGNER, new))
    assert [fault(device, message) for message in (by_old, by_new)] == [None, None]
    later = device.check(by_old, Kind.SCHEDULE, DEVICE, NOW + day)
    assert later is not None
    assert later.details == {"fault": "key_expired", "kid": "cloud-1"}
    early = device.check(by_new, Kind.SCHEDULE, DEVICE, NOW - 2 * day)
    assert early is not None
    assert early.details == {"fault": "key_not_yet_valid", "kid": "cloud-2"}
    assert device.check(by_new, Kind.SCHEDULE, DEVICE, None) is None


def test_a_refusal_shows_the_name_of_a_key_only_when_it_is_one() -> None:
    problem = verifier(SignaturePolicy.REQUIRE).check(frame(SIGNED[0], ("kid", "\x1b[2J")), Kind.SCHEDULE, DEVICE, NOW)
    assert problem is not None
    assert "kid" not in problem.details
    assert "\x1b" not in problem.reason()


@pytest.mark.parametrize("policy", LOOKING)
@pytest.mark.parametrize("keyring", [None, Keyring([])], ids=["no keyring", "no key"])
def test_a_policy_that_could_only_refuse_is_refused(policy: SignaturePolicy, keyring: Keyring | None) -> None:
    with pytest.raises(SigningError, match="needs at least one trusted key"):
        Verifier(policy, keyring)


def test_a_signer_is_named_like_an_id() -> None:
    with pytest.raises(SigningError, match="a key's name is"):
        Signer("cloud 1", Ed25519PrivateKey.generate())


def test_sessions_can_take_both_by_what_they_do() -> None:
    signer: FrameSigner = SIGNER
    checker: FrameVerifier = verifier(SignaturePolicy.REQUIRE)
    assert fault(checker, frame(*signer.sign(Kind.SCHEDULE, DEVICE, BODY))) is None
