"""Saying in a test that something is refused."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.stack.answers import Refused


class Refusal:
    """What the refusal said, known after the block."""

    error: Refused

    def __getitem__(self, name: str) -> Any:
        return self.error.data[name]


@contextmanager
def refuses(code: str) -> Iterator[Refusal]:
    """The block is refused with this code of contract §7."""
    refusal = Refusal()
    with pytest.raises(Refused) as raised:
        yield refusal
    refusal.error = raised.value
    assert raised.value.code == code, raised.value
