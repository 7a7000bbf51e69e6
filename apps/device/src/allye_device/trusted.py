"""Whom the device believes: the public keys that schedules and cancels must be signed with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from allye_device.config import ConfigError, KeyConfig
from allye_protocol.errors import SigningError
from allye_protocol.signing import Keyring, SignaturePolicy, TrustedKey, Verifier

if TYPE_CHECKING:
    from allye_device.config import AgentConfig

__all__ = ["verifier_of"]


def verifier_of(config: AgentConfig) -> Verifier | None:
    """What checks signatures, as configured.

    :returns: ``None`` when nothing is checked.
    :raises ConfigError: for a key that cannot be read, and where the extra ``signing`` is not installed.
    """
    policy, where = SignaturePolicy(config.signing.policy), f"device {config.device_id}"
    if policy is SignaturePolicy.OFF:
        return None
    try:
        keys = [_key(name, key, where) for name, key in config.signing.keys.items()]
        return Verifier(policy, Keyring(keys))
    except SigningError as error:
        raise ConfigError(where, "signing.keys", error.message) from error
    except ImportError as error:
        raise ConfigError(where, "signing.policy", f"{config.signing.policy} needs more: {error}") from error


def _key(name: str, config: KeyConfig, where: str) -> TrustedKey:
    try:
        pem = Path(config.file).read_bytes()
    except OSError as error:
        what = f"cannot read {config.file} ({error.strerror}); name a public key in PEM"
        raise ConfigError(where, f"signing.keys.{name}.file", what) from error
    return TrustedKey.from_pem(name, pem, not_before=config.not_before, not_after=config.not_after)
