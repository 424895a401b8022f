"""Elastic Common Schema 8.17: https://www.elastic.co/guide/en/ecs/current/."""

from collections.abc import Mapping
from typing import Any

import orjson

from audit_app.formats.record import PRODUCT, VERSION, filled, is_address, line, plain

ECS_VERSION = "8.17.0"

OUTCOMES = {"success": "success", "refused": "failure", "error": "failure"}
CATEGORIES = {"auth": "authentication", "sessions": "session", "access": "iam", "resources": "database"}

TYPES: Mapping[str, Mapping[str, str]] = {
    "authentication": {"login": "start", "logout": "end", "revoke": "end"},
    "session": {"create": "start", "close": "end"},
    "iam": {"grant": "creation", "revoke": "deletion"},
    "database": {
        "read": "access",
        "list": "access",
        "history": "access",
        "create": "change",
        "write": "change",
        "patch": "change",
        "batch": "change",
        "delete": "change",
    },
    "process": {"start": "start", "ready": "info", "drain": "info", "stop": "end"},
    "api": {
        "get": "access",
        "list": "access",
        "poll": "access",
        "stream": "access",
        "snapshot": "access",
        "verify": "access",
        "create": "creation",
        "update": "change",
        "ack": "change",
        "delete": "deletion",
    },
}
"""The types that the schema expects of a category, by the last word of the action; "info" for every other."""


def ecs(record: Mapping[str, Any]) -> bytes:
    """An entry as one line of ECS. What the schema has no name for is below `erlmcp`, `details` as text."""
    entry = plain(record)
    category, kind = _classified(entry["action"], entry["transport"])
    address = entry["source_ip"]
    return line(
        {
            "@timestamp": entry["timestamp"],
            "ecs": {"version": ECS_VERSION},
            "event": filled(
                {
                    "id": entry["id"],
                    "sequence": entry["sequence"],
                    "kind": "event",
                    "category": [category],
                    "type": [kind],
                    "action": entry["action"],
                    "outcome": OUTCOMES[entry["outcome"]],
                    "code": entry.get("code"),
                    "provider": PRODUCT,
                    "module": PRODUCT,
                    "dataset": f"{PRODUCT}.audit",
                }
            ),
            "service": {"name": PRODUCT, "type": PRODUCT, "version": VERSION},
            "user": filled({"id": entry["user_id"], "name": entry["user"]}),
            "source": filled({"address": address, "ip": address if is_address(address) else None}),
            "user_agent": filled({"original": entry["user_agent"]}),
            "http": {"request": filled({"id": entry["request_id"]})},
            "related": filled({"user": _listed(entry["user"]), "ip": [address] if is_address(address) else []}),
            PRODUCT: filled(
                {
                    "queue": entry["queue"],
                    "transport": entry["transport"],
                    "session_id": entry["session_id"],
                    "resource": filled({"type": entry["resource_type"], "id": entry["resource_id"]}),
                    # as text: keys that clients choose would become fields of the index without an end
                    "details": orjson.dumps(entry["details"]).decode(),
                    "prev_hash": entry["prev_hash"],
                    "hash": entry["hash"],
                }
            ),
        }
    )


def _classified(action: str, transport: str) -> tuple[str, str]:
    """The category and the type of an action."""
    family, _, what = action.partition("/")
    is_lifecycle = transport == "system" and family not in CATEGORIES and what in TYPES["process"]
    category = "process" if is_lifecycle else CATEGORIES.get(family, "api")
    return category, TYPES[category].get(what, "info")


def _listed(text: str) -> list[str]:
    """A list of a text that says something."""
    return [text] if text else []
