"""What is read and written in every case: the same URIs and the same 500 bytes, ours and the peers'."""

import json
from typing import Any

AUTHORITY = "bench.local"
CONTENT_BYTES = 500


def path(key: int | str) -> str:
    """A resource's place below its authority; `%k` makes a template for the load client."""
    return f"items/{key}"


def uri(key: int | str) -> str:
    return f"resource://{AUTHORITY}/{path(key)}"


def content(key: int) -> dict[str, Any]:
    """A JSON value of CONTENT_BYTES when written compactly."""
    value = {"station": key, "temperature": 21.5, "tags": ["a", "b", "c"], "text": ""}
    rest = CONTENT_BYTES - len(json.dumps(value, separators=(",", ":")))
    return value | {"text": "x" * rest}


def document(size: int) -> dict[str, Any]:
    """A JSON object of about so many bytes, of many small parts; one has the form of a load client's payload."""
    part, changed = content(0), {"ts": 0, "seq": 0, "ch": "", "pad": ""}
    return {f"part {number}": part for number in range(size // CONTENT_BYTES)} | {"changed": changed}


def template(value: Any) -> str:
    """The value as compact JSON for a load client's template, where a percent sign is doubled."""
    return json.dumps(value, separators=(",", ":")).replace("%", "%%")
