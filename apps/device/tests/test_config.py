"""What makes no sense, by itself or beside its neighbours, is refused when it is made."""

from __future__ import annotations

import pytest

from allye_device.config import (
    BrokerConfig,
    ConfigError,
    KeyConfig,
    KeyProblem,
    ProtocolConfig,
    SigningConfig,
    StatusConfig,
    StoreConfig,
    store_file,
)
from allye_protocol import codec


def test_everything_that_is_installed_is_offered():
    assert ProtocolConfig().versions == (1, 2)
    assert ProtocolConfig().offered == codec.content_types_of(2)
    assert ProtocolConfig(versions=(1,)).offered == ("application/json",)


@pytest.mark.parametrize(
    ("wrong", "key"),
    [
        ({"versions": ()}, "versions"),
        ({"versions": (2, 2)}, "versions"),
        ({"versions": (2, 3)}, "versions"),
        ({"content_types": ()}, "content_types"),
        ({"content_types": ("text/plain",)}, "content_types"),
        ({"versions": (1, 2), "content_types": ("application/protobuf",)}, "versions"),
        ({"slot_lengths_s": ()}, "slot_lengths_s"),
        ({"slot_lengths_s": (600,)}, "slot_lengths_s"),
        ({"slot_lengths_s": (300,)}, "versions"),
    ],
)
def test_an_offer_that_nobody_could_take_is_refused(wrong, key):
    with pytest.raises(KeyProblem) as caught:
        ProtocolConfig(**wrong)
    assert caught.value.key == key


def test_a_device_without_version_1_needs_neither_its_slots_nor_its_encoding():
    config = ProtocolConfig(versions=(2,), content_types=("application/protobuf",), slot_lengths_s=(300,))
    assert config.offered == ("application/protobuf",)


@pytest.mark.parametrize("policy", ["accept", "require"])
def test_signatures_that_are_looked_at_need_a_key(policy):
    with pytest.raises(KeyProblem, match="needs a table"):
        SigningConfig(policy=policy)


def test_signatures_that_are_required_need_mqtt_5(make_config):
    signing = SigningConfig(policy="require", keys={"a": KeyConfig(file="a.pem")})
    old = BrokerConfig(host="b", protocol="3.1.1")
    with pytest.raises(KeyProblem, match="MQTT 5"):
        make_config(signing=signing, broker=old)
    make_config(signing=SigningConfig(policy="accept", keys=signing.keys), broker=old)


def test_a_status_cannot_be_due_before_it_is_allowed():
    with pytest.raises(ValueError, match="least_interval_s 20 is above"):
        StatusConfig(least_interval_s=20, most_interval_s=10)


def test_the_folder_of_the_store_must_be_there(make_config, tmp_path):
    config = make_config(store=StoreConfig(path=str(tmp_path / "device.db")))
    assert store_file(config) == tmp_path / "device.db"
    with pytest.raises(ConfigError, match="there is no folder"):
        store_file(make_config(store=StoreConfig(path=str(tmp_path / "no" / "device.db"))))
