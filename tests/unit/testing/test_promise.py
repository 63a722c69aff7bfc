"""The words contracts are written with."""

from __future__ import annotations

import unittest

import pytest

from lorafw.errors import AdapterError, DataError
from lorafw.testing.promise import NotPromised, refused, skip_unless
from lorafw.testing.toy_injector import ToyInjector
from lorafw.types import Capability


def test_a_declared_capability_goes_on_and_another_does_not() -> None:
    skip_unless(ToyInjector(), Capability.MERGEABLE)
    with pytest.raises(NotPromised, match="does not declare 'split-dependent'"):
        skip_unless(ToyInjector(), Capability.SPLIT_DEPENDENT)


def test_what_is_not_promised_is_skipped_by_pytest_and_unittest() -> None:
    assert issubclass(NotPromised, unittest.SkipTest)


def test_the_expected_error_is_let_through() -> None:
    with refused(AdapterError, naming="q_proj"):
        raise AdapterError("no module is called q_proj.")


def test_no_error_is_a_failure() -> None:
    with pytest.raises(AssertionError, match="no AdapterError was raised"), refused(AdapterError):
        pass


def test_an_error_that_does_not_tell_is_a_failure() -> None:
    with (
        pytest.raises(AssertionError, match=r"does not name 'x\.jsonl'"),
        refused(naming="x.jsonl"),
    ):
        raise DataError("something is wrong.")


def test_other_errors_go_on() -> None:
    with pytest.raises(DataError), refused(AdapterError):
        raise DataError("something is wrong.")
