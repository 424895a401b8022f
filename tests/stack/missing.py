"""Tests that need what a machine may lack."""

import os
from typing import NoReturn

import pytest


def missing(reason: str) -> NoReturn:
    """Skip the test that runs, and say why; in CI, which has everything, it fails."""
    if os.environ.get("CI"):
        pytest.fail(f"CI has to have this: {reason}")
    pytest.skip(reason)
