"""Content as callers give it, checked and brought to the form in which it is kept (contract §3)."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import orjson
from django.conf import settings

from audit_app.errors import InvalidParams, TooDeep, TooLarge
from resources_app.changes import Content
from resources_app.depth import is_deeper, is_text_deeper
from resources_app.state import Kind


def content_of(params: Mapping[str, Any]) -> Content:
    """The content in the parameters of a write: exactly one of `content` (JSON), `text`, `blob` (base64).

    Raises InvalidParams, TooLarge, TooDeep.
    """
    given = [kind for kind in Kind if kind.value in params]
    if len(given) != 1:
        raise InvalidParams("Give exactly one of content, text and blob.")
    kind = given[0]
    value = params[kind.value]
    content = _json(value) if kind is Kind.JSON else _text(value) if kind is Kind.TEXT else _blob(value)
    if content.size > settings.RESOURCE_MAX_BYTES:
        raise TooLarge(
            f"The content has more than {settings.RESOURCE_MAX_BYTES} bytes.", limit=settings.RESOURCE_MAX_BYTES
        )
    return content


def _json(value: Any) -> Content:
    try:
        body = orjson.dumps(value)
        is_too_deep = is_text_deeper(body, value, settings.JSON_MAX_DEPTH)
    except orjson.JSONEncodeError:
        if not is_deeper(value, settings.JSON_MAX_DEPTH):
            raise
        is_too_deep = True
    if is_too_deep:
        raise TooDeep(f"The JSON is nested deeper than {settings.JSON_MAX_DEPTH}.", limit=settings.JSON_MAX_DEPTH)
    return Content(kind=Kind.JSON, body=body, size=len(body))


def _text(value: Any) -> Content:
    if not isinstance(value, str):
        raise InvalidParams("text is a string.")
    body = value.encode()
    return Content(kind=Kind.TEXT, body=body, size=len(body))


def _blob(value: Any) -> Content:
    if not isinstance(value, str):
        raise InvalidParams("blob is a string in base64.")
    try:
        data = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidParams("blob is not valid base64 (RFC 4648 §4).") from None
    return Content(kind=Kind.BLOB, body=base64.b64encode(data), size=len(data))
