"""JSON documents as they come from outside: parsed once, and refused when they are not what we could keep or answer."""

import gc
import json
import re
from typing import Any

import orjson
from django.conf import settings

from audit_app.errors import InvalidParams, TooDeep
from erlmcp_site.pipeline.errors import ParseError
from resources_app.depth import is_text_deeper

LARGE_BYTES = 64 * 1024

LEAST_INTEGER, LARGEST_INTEGER = -(2**63), 2**64 - 1

_LONG_NUMBER = re.compile(rb"[0-9]{19}")


def parse(text: bytes, envelope: int) -> Any:
    """The value of a JSON document, nested at most JSON_MAX_DEPTH levels and the `envelope` levels around the content.

    Of two members of one name the last counts, as everywhere. What is nested a thousand levels deep is not read to its
    end; up to there, depth costs no more than any document of that size. Raises ParseError (also for lone surrogates
    and NaN), TooDeep, and InvalidParams for numbers that would come back as others: integers beyond 64 bits, and what
    is infinite as a double.
    """
    limit = settings.JSON_MAX_DEPTH + envelope
    try:
        value = _loaded(text)
    except orjson.JSONDecodeError as error:
        if error.msg.startswith("depth limit"):
            raise TooDeep(limit=settings.JSON_MAX_DEPTH) from None
        if error.msg.startswith("number is infinity"):
            raise InvalidParams("A number is beyond what a double can hold; send it as a string.") from None
        raise ParseError(f"This is not valid JSON: {error.msg}.") from None
    if is_text_deeper(text, value, limit):
        raise TooDeep(limit=settings.JSON_MAX_DEPTH)
    if _LONG_NUMBER.search(text):
        json.loads(text, parse_int=_integer, parse_float=_same)
    return value


def _loaded(text: bytes) -> Any:
    """The value, without the collector looking through a large one again and again while it grows: 95 ms a MiB of
    nested arrays with it, 29 without.
    """
    if len(text) < LARGE_BYTES or not gc.isenabled():
        return orjson.loads(text)
    gc.disable()
    try:
        return orjson.loads(text)
    finally:
        gc.enable()


def _integer(digits: str) -> int:
    number = int(digits) if len(digits) <= 20 else None
    if number is None or not LEAST_INTEGER <= number <= LARGEST_INTEGER:
        raise InvalidParams("An integer is beyond 64 bits; send it as a string.")
    return number


def _same(digits: str) -> str:
    return digits
