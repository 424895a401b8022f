"""JSON documents as they come from outside: parsed once, and refused when they are not what we could keep or answer."""

import json
import re
from typing import Any

import orjson
from django.conf import settings

from audit_app.errors import InvalidParams, TooDeep
from erlmcp_site.pipeline.errors import ParseError
from resources_app.depth import is_deeper

LEAST_INTEGER, LARGEST_INTEGER = -(2**63), 2**64 - 1

_LONG_NUMBER = re.compile(rb"[0-9]{19}")


def parse(text: bytes, envelope: int) -> Any:
    """The value of a JSON document, nested at most JSON_MAX_DEPTH levels and the `envelope` levels around the content.

    Raises ParseError, TooDeep, and InvalidParams for numbers that would come back as others: integers beyond 64 bits,
    and what is infinite as a double.
    """
    limit = settings.JSON_MAX_DEPTH + envelope
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if error.msg.startswith("depth limit"):
            raise TooDeep(limit=settings.JSON_MAX_DEPTH) from None
        if error.msg.startswith("number is infinity"):
            raise InvalidParams("A number is beyond what a double can hold; send it as a string.") from None
        raise ParseError(f"This is not valid JSON: {error.msg}.") from None
    if text.count(b"[") + text.count(b"{") > limit and is_deeper(value, limit):
        raise TooDeep(limit=settings.JSON_MAX_DEPTH)
    if _LONG_NUMBER.search(text):
        json.loads(text, parse_int=_integer, parse_float=_same)
    return value


def _integer(digits: str) -> int:
    number = int(digits) if len(digits) <= 20 else None
    if number is None or not LEAST_INTEGER <= number <= LARGEST_INTEGER:
        raise InvalidParams("An integer is beyond 64 bits; send it as a string.")
    return number


def _same(digits: str) -> str:
    return digits
