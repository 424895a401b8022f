"""Open Cybersecurity Schema Framework 1.8: https://schema.ocsf.io/1.8.0/.

Six classes: Authentication (3002) for logins and their ends, Authorize Session (3003) for sessions and for access that
was denied, Entity Management (3004) for users, groups, rules, keys and the trail's own settings, Application Lifecycle
(6002) for the life of a node, API Activity (6003), and Datastore Activity (6005) for resources.
"""

from collections.abc import Mapping
from typing import Any

from audit_app.formats.record import PRODUCT, VERSION, filled, is_address, line, milliseconds, plain

OCSF_VERSION = "1.8.0"

AUTHENTICATION, AUTHORIZE_SESSION, ENTITY_MANAGEMENT = 3002, 3003, 3004
APPLICATION_LIFECYCLE, API_ACTIVITY, DATASTORE_ACTIVITY = 6002, 6003, 6005
OTHER = 99
DATABUCKET = 2

CLASSES = {"sessions": AUTHORIZE_SESSION, "access": ENTITY_MANAGEMENT, "resources": DATASTORE_ACTIVITY}
SETTINGS = frozenset({"audit/policy", "audit/sinks"})
LOGINS = frozenset({"login", "logout", "refresh", "revoke", "code"})

ACTIVITIES: Mapping[int, Mapping[str, int]] = {
    AUTHENTICATION: {"login": 1, "logout": 2, "revoke": 2},
    # a session gets the rights of its user when it is made
    AUTHORIZE_SESSION: {"create": 1},
    ENTITY_MANAGEMENT: {
        "grant": 1,
        "added": 1,
        "enrol": 1,
        "list": 2,
        "changed": 3,
        "revoke": 4,
        "deleted": 4,
        "withdraw": 4,
        "policy": 3,
        "sinks": 3,
    },
    APPLICATION_LIFECYCLE: {"start": 3, "ready": OTHER, "drain": OTHER, "stop": 4},
    API_ACTIVITY: {
        "create": 1,
        "get": 2,
        "list": 2,
        "poll": 2,
        "stream": 2,
        "snapshot": 2,
        "verify": 2,
        "update": 3,
        "ack": 3,
        "delete": 4,
    },
    DATASTORE_ACTIVITY: {
        "read": 1,
        "history": 1,
        "patch": 2,
        "write": 5,
        "batch": 5,
        "create": 6,
        "delete": 7,
        "list": 8,
    },
}
"""The number of an activity by the last word of the action, or by the change that an account's entry tells of."""

STATUSES = {"success": (1, "Success"), "refused": (2, "Failure"), "error": (2, "Failure")}
INFORMATIONAL, LOW, MEDIUM, HIGH = 1, 2, 3, 4


def ocsf(record: Mapping[str, Any]) -> bytes:
    """An entry as one line of OCSF. What the schema has no place for stands in `unmapped`, the hashes among it."""
    entry = plain(record)
    entry["action"] = entry["action"] or "unknown"
    what = entry["action"].partition("/")[2]
    number = _class_of(entry, what)
    activity = ACTIVITIES[number].get(_change(entry, what), OTHER)
    status_id, status = STATUSES[entry["outcome"]]
    event = {
        "class_uid": number,
        "category_uid": number // 1000,
        "activity_id": activity,
        "type_uid": number * 100 + activity,
        "activity_name": entry["action"] if activity == OTHER else None,
        "time": milliseconds(entry),
        "severity_id": _severity(entry),
        "status_id": status_id,
        "status": status,
        "status_code": entry.get("code"),
        "message": f"{entry['action']}: {entry['outcome']}",
        "metadata": filled(
            {
                "version": OCSF_VERSION,
                "product": {"name": PRODUCT, "vendor_name": PRODUCT, "version": VERSION},
                "uid": entry["id"],
                "sequence": entry["sequence"],
                "log_name": entry["queue"],
                "log_provider": PRODUCT,
                "original_time": entry["timestamp"],
                "correlation_uid": entry["request_id"],
            }
        ),
        "actor": _actor(entry),
        "src_endpoint": _source(entry),
        "http_request": filled({"uid": entry["request_id"], "user_agent": entry["user_agent"]}),
        "unmapped": {
            name: entry[name]
            for name in ("prev_hash", "hash", "details", "transport", "resource_type", "resource_id", "session_id")
        },
    }
    return line(filled(event | _own(number, entry, what)))


def _class_of(entry: Mapping[str, Any], what: str) -> int:
    family = entry["action"].partition("/")[0]
    if family == "auth":
        # what is left are signing keys and second factors
        return AUTHENTICATION if what in LOGINS else ENTITY_MANAGEMENT
    if entry.get("code") == "forbidden":
        return AUTHORIZE_SESSION
    if entry["action"] in SETTINGS:
        return ENTITY_MANAGEMENT
    if family in CLASSES:
        return CLASSES[family]
    is_lifecycle = entry["transport"] == "system" and what in ACTIVITIES[APPLICATION_LIFECYCLE]
    return APPLICATION_LIFECYCLE if is_lifecycle else API_ACTIVITY


def _change(entry: Mapping[str, Any], what: str) -> str:
    """The word that tells the activity: entries of accounts say in their details what was changed."""
    details = entry["details"]
    change = details.get("change") if isinstance(details, Mapping) else None
    return change if isinstance(change, str) and entry["action"].startswith("access/") else what


def _own(number: int, entry: Mapping[str, Any], what: str) -> dict[str, Any]:
    """What a class has of its own."""
    if number == AUTHENTICATION:
        return {"user": _user(entry), "service": {"name": PRODUCT}, "session": _session(entry)}
    if number == AUTHORIZE_SESSION:
        return {"user": _user(entry), "privileges": [entry["action"]], "session": _session(entry)}
    if number == ENTITY_MANAGEMENT:
        return {"entity": {"type": entry["resource_type"] or what, "name": entry["resource_id"] or what}}
    if number == APPLICATION_LIFECYCLE:
        return {"app": {"name": PRODUCT, "vendor_name": PRODUCT, "version": VERSION}}
    if number == DATASTORE_ACTIVITY:
        bucket = {
            "name": PRODUCT,
            "uid": entry["resource_id"],
            "type_id": OTHER,
            "type": entry["resource_type"] or what,
        }
        return {"type_id": DATABUCKET, "databucket": filled(bucket)}
    return {
        "api": {"operation": entry["action"], "service": {"name": PRODUCT}},
        "resources": [filled({"uid": entry["resource_id"], "type": entry["resource_type"]})]
        if entry["resource_id"]
        else [],
    }


def _severity(entry: Mapping[str, Any]) -> int:
    if entry["outcome"] == "success":
        return INFORMATIONAL
    if entry.get("code") == "refresh_reused":
        return HIGH
    return MEDIUM if entry["queue"] == "security" or entry["outcome"] == "error" else LOW


def _user(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Whom it is about; somebody who could not be authenticated has only the name that was given."""
    known = filled({"uid": entry["user_id"], "name": entry["user"]})
    claimed = entry["resource_id"] if entry["resource_type"] == "user" else ""
    return known or {"name": claimed or "unknown"}


def _actor(entry: Mapping[str, Any]) -> dict[str, Any]:
    user = filled({"uid": entry["user_id"], "name": entry["user"]})
    return {"app_name": PRODUCT} if not user else filled({"user": user, "session": _session(entry)})


def _session(entry: Mapping[str, Any]) -> dict[str, Any]:
    return filled({"uid": entry["session_id"]})


def _source(entry: Mapping[str, Any]) -> dict[str, Any]:
    address = entry["source_ip"]
    if is_address(address):
        return {"ip": address}
    return {"name": address} if address else {"svc_name": f"{PRODUCT}/{entry['transport']}"}
