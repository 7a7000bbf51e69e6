"""Whatever a driver raises leaves it as an error with a code."""

from __future__ import annotations

import pytest
import structlog
from structlog.testing import capture_logs

from allye_device.boundary import Boundary
from allye_protocol.errors import DriverError, ErrorCode, StoreError


def raising(error):
    def call():
        raise error

    return call


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError("link down"), ErrorCode.DRIVER_TIMEOUT),
        (TimeoutError(), ErrorCode.DRIVER_TIMEOUT),
        (NotImplementedError(), ErrorCode.DRIVER_NOT_SUPPORTED),
        (KeyError("W"), ErrorCode.DRIVER_REJECTED),
    ],
)
def test_a_bug_becomes_a_driver_error_that_names_it(error, code):
    with pytest.raises(DriverError, match=type(error).__name__) as caught:
        Boundary(structlog.get_logger())(raising(error))
    assert caught.value.code is code
    assert caught.value.retryable
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [DriverError(ErrorCode.DRIVER_TIMEOUT, "no"), StoreError(ErrorCode.STORE_CORRUPT, "bad")])
def test_an_error_with_a_code_stays_as_it_is(error):
    with pytest.raises(type(error)) as caught:
        Boundary(structlog.get_logger())(raising(error))
    assert caught.value is error


def test_a_value_and_the_arguments_pass():
    assert Boundary(structlog.get_logger())(divmod, 7, 2) == (3, 1)


def test_a_process_that_is_told_to_end_ends():
    with pytest.raises(KeyboardInterrupt):
        Boundary(structlog.get_logger())(raising(KeyboardInterrupt()))


def test_the_traceback_is_logged_once_for_each_kind():
    with capture_logs() as log:
        cross = Boundary(structlog.get_logger())
        for error in (KeyError("a"), KeyError("b"), OSError()):
            with pytest.raises(DriverError):
                cross(raising(error))
    assert [(line["event"], line["kind"], line["exc_info"]) for line in log] == [
        ("driver_bug", "KeyError", True),
        ("driver_bug", "OSError", True),
    ]
