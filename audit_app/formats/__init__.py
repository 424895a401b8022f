"""What an entry looks like to somebody else's program: pure functions from a record (contract §8) to one line of bytes.

A line has no line break and no control character, whatever a client has put into the entry, so no field can forge
another line, another field or a terminal's escape. A line has no newline at its end: who writes it adds what its
channel wants.
"""

from collections.abc import Callable, Mapping
from typing import Any

from audit_app.formats.cef import cef
from audit_app.formats.ecs import ecs
from audit_app.formats.jsonl import jsonl
from audit_app.formats.ocsf import ocsf

Format = Callable[[Mapping[str, Any]], bytes]

FORMATS: Mapping[str, Format] = {"jsonl": jsonl, "ocsf": ocsf, "ecs": ecs, "cef": cef}
"""Every format by the name that settings and exports call it by."""
