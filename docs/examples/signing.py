"""A signed schedule: the cloud signs what it publishes, the device refuses what is not signed by a key that it knows."""

import os
from datetime import UTC, datetime

from allye_protocol.frame import Frame
from allye_protocol.messages import Kind
from allye_protocol.signing import Keyring, SignaturePolicy, Signer, TrustedKey, Verifier, new_private_pem, public_pem

private = new_private_pem(os.urandom)  # or the file that openssl made
signer = Signer.from_pem("cloud-2026", private)
keyring = Keyring([TrustedKey.from_pem("cloud-2026", public_pem(private), not_after=datetime(2028, 1, 1, tzinfo=UTC))])
verifier = Verifier(SignaturePolicy.REQUIRE, keyring)

payload, device, now = b'{"version":2}', "max300-0001", datetime(2026, 11, 23, 12, tzinfo=UTC)
properties = signer.sign(Kind.SCHEDULE, device, payload)
signed = Frame(topic=f"devices/{device}/schedule", payload=payload, user_properties=properties)
print(verifier.check(signed, Kind.SCHEDULE, device, now))
print(verifier.check(signed, Kind.CANCEL, device, now))
