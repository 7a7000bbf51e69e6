"""Options: nothing that no connection can have, nothing secret shown, TLS verified."""

from __future__ import annotations

import ssl

import pytest

from allye_protocol.transport.options import MqttOptions, tls_context


def test_a_session_is_kept_unless_said_otherwise() -> None:
    options = MqttOptions(host="h", client_id="a")
    assert (options.protocol, options.clean_start) == ("5", False)
    assert options.session_expiry_s > 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"host": ""},
        {"client_id": ""},
        {"port": 0},
        {"port": 65_536},
        {"keepalive_s": 0},
        {"receive_maximum": 0},
        {"max_inflight": 65_536},
        {"session_expiry_s": -1},
        {"protocol": "3.1"},
    ],
)
def test_what_no_connection_can_have_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        MqttOptions(**{"host": "h", "client_id": "a", **wrong})  # type: ignore[arg-type]


def test_a_password_is_never_shown() -> None:
    options = MqttOptions(host="h", client_id="a", username="u", password="secret")
    assert "secret" not in f"{options} {options!r}"
    assert "mqtt://h:1883" in repr(options)


def test_tls_verifies_certificate_and_name() -> None:
    context = tls_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_a_key_without_a_certificate_is_refused() -> None:
    with pytest.raises(ValueError, match="certfile"):
        tls_context(keyfile="key.pem")
    with pytest.raises(OSError):  # noqa: PT011 the standard library's own
        tls_context(cafile="/does/not/exist.pem")
