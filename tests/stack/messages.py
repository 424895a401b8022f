"""Parameters and results of the table's methods as messages of proto/erlmcp/v1, apart from the code under test."""

import base64
import importlib
import json
from collections.abc import Mapping
from datetime import UTC
from typing import Any

import orjson
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

PACKAGE = "erlmcp_site.transports.grpc.generated"
FILES = (
    "auth",
    "keys",
    "sessions",
    "resources",
    "subscriptions",
    "access",
    "audit",
    "telemetry",
    "prompts",
    "completion",
    "errors",
)
MODULES = {name: importlib.import_module(f"{PACKAGE}.{name}_pb2") for name in FILES}

RPCS = {"events/stream": "Subscriptions/Follow", "events/poll": "Subscriptions/Poll", "events/ack": "Subscriptions/Ack"}
WHOLE = {
    **dict.fromkeys(("auth/login", "auth/refresh"), "tokens"),
    "keys/create": "api_key",
    **dict.fromkeys((f"sessions/{verb}" for verb in ("create", "get", "update", "suspend", "resume")), "session"),
    **dict.fromkeys((f"resources/{verb}" for verb in ("read", "create", "write", "patch", "restore")), "resource"),
    **dict.fromkeys(("subscriptions/create", "subscriptions/get"), "subscription"),
    "access/grant": "rule",
}
"""The field of the response that is the result, where the response is not."""


SILENT = {"content_destroyed", "everyone", "group", "key", "code", "created", "scope", "traceparent", "tracestate"}
"""Fields that are not told where they say nothing."""


def rpc_of(method: str) -> str:
    """The path of the RPC for a method of the table."""
    if method in RPCS:
        return f"/erlmcp.v1.{RPCS[method]}"
    family, _, verb = method.partition("/")
    return f"/erlmcp.v1.{family.capitalize()}/{verb.capitalize()}"


def kinds_of(method: str) -> tuple[Any, Any]:
    """The classes of the request and the response of a method."""
    _, _, name = rpc_of(method).partition("erlmcp.v1.")
    service, _, rpc = name.partition("/")
    module = MODULES[service.lower()]
    descriptor = module.DESCRIPTOR.services_by_name[service].methods_by_name[rpc]
    return getattr(module, descriptor.input_type.name), getattr(module, descriptor.output_type.name)


def request_of(method: str, params: Mapping[str, Any]) -> Any:
    """The request that says what the parameters do. Raises TypeError or ValueError for what no message can say."""
    return _message(kinds_of(method)[0], params)


def result_of(method: str, response: Any) -> Any:
    """What the response says, as the other transports would."""
    document = document_of(response)
    result = document[WHOLE[method]] if method in WHOLE else document
    if "next_cursor" in result:
        result["next_cursor"] = result["next_cursor"] or None
    return result


def event_of(message: Any) -> dict[str, Any]:
    """A CloudEvent as JSON has it."""
    event = document_of(message)
    data = event.pop("resource", None) or event.pop("delta")
    return {**event, "specversion": "1.0", "datacontenttype": "application/json", "data": data}


def _message(kind: Any, params: Mapping[str, Any]) -> Any:
    message = kind()
    fields = message.DESCRIPTOR.fields_by_name
    for name, value in params.items():
        if name == "operations":
            for operation in value:
                verb = operation["method"].partition("/")[2]
                inner = fields[name].message_type.fields_by_name[verb].message_type
                filled = _message(type(getattr(message.operations.add(), verb)), operation["params"])
                assert inner is filled.DESCRIPTOR
                getattr(message.operations[-1], verb).CopyFrom(filled)
        elif name == "from" and "start" in fields:
            is_start = isinstance(value, str) or "start_offset" not in fields
            _set(message, fields["start" if is_start else "start_offset"], value)
        elif f"{name}_version" in fields and name in {"from", "to"}:
            _set(message, fields[f"{name}_version"], value)
        elif f"{name}_json" in fields:
            setattr(
                message, f"{name}_json", value.decode() if isinstance(value, bytes) else orjson.dumps(value).decode()
            )
        elif value is not None:
            if name not in fields:
                raise ValueError(f"{kind.DESCRIPTOR.name} has no {name}")
            _set(message, fields[name], value)
    return message


def _set(message: Any, field: Any, value: Any) -> None:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        getattr(message, field.name).update(value)
    elif field.enum_type is not None and field.is_repeated:
        getattr(message, field.name).extend([_number(field.enum_type, one) for one in value])
    elif field.enum_type is not None:
        setattr(message, field.name, _number(field.enum_type, value))
    elif field.message_type is Timestamp.DESCRIPTOR:
        getattr(message, field.name).FromJsonString(value)
    elif field.message_type is not None:
        inner = getattr(message, field.name)
        inner.CopyFrom(_message(type(inner), value))
    elif field.type == field.TYPE_BYTES:
        setattr(message, field.name, base64.b64decode(value, validate=True))
    else:
        setattr(message, field.name, value)


def _number(kind: Any, name: str) -> int:
    prefix = kind.values[0].name.removesuffix("UNSPECIFIED")
    number: int = (
        kind.values_by_name[prefix + name.upper()].number if prefix + name.upper() in kind.values_by_name else 99
    )
    return number


def document_of(message: Message) -> dict[str, Any]:
    """A message as JSON of ours has it: with fields that are not set, unless their absence says something."""
    document: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        name: str = field.name
        if field.has_presence and not message.HasField(name):
            if field.message_type is Timestamp.DESCRIPTOR:
                document[name] = None
            continue
        value = getattr(message, name)
        if name in SILENT and not value:
            continue
        if field.enum_type is not None and not field.is_repeated and not value:
            continue
        if name.endswith("_json"):
            if value or field.has_presence:
                document[name.removesuffix("_json")] = json.loads(value)
        elif name in {"from_version", "to_version"}:
            document[name.removesuffix("_version")] = value
        else:
            document[name] = _plain(field, value)
    return document


def _plain(field: Any, value: Any) -> Any:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        inner = field.message_type.fields_by_name["value"]
        return {name: _one(inner, one) for name, one in value.items()}
    return [_one(field, one) for one in value] if field.is_repeated else _one(field, value)


def _one(field: Any, value: Any) -> Any:
    if field.message_type is Timestamp.DESCRIPTOR:
        return value.ToDatetime(UTC).isoformat().replace("+00:00", "Z")
    if field.message_type is not None:
        return document_of(value)
    if field.enum_type is not None:
        prefix = field.enum_type.values[0].name.removesuffix("UNSPECIFIED")
        return field.enum_type.values_by_number[value].name.removeprefix(prefix).lower()
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value
