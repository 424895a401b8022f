"""Messages to parameters and results to messages, by their descriptors: what JSON says, typed.

A field has the name that it has in JSON, with these exceptions: `…_json` is a JSON value as text, enums are the names
of JSON in capitals behind that of their type, `blob` is bytes where JSON has base64, and RENAMED.
tests/transports/test_grpc_fields.py holds all messages to the methods that they belong to.
"""

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

import orjson
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.internal.python_message import GeneratedProtocolMessageType
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp

from audit_app.errors import InvalidParams
from erlmcp_site.transports.documents import parse

JSON = "_json"
RENAMED = {"start": "from", "start_offset": "from", "from_version": "from", "to_version": "to"}
ENVELOPE_DEPTH = 1
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Convert = Callable[[Any], Any]


def params_of(message: Message) -> dict[str, Any]:
    """The parameters in a request: those fields that are set. Raises ParseError, TooDeep, InvalidParams."""
    plan = _reading(message.DESCRIPTOR)
    params = {}
    for field, value in message.ListFields():
        name, convert = plan[field.number]
        params[name] = value if convert is None else convert(value)
    return params


def message_of(kind: type[Message], document: Mapping[str, Any]) -> Message:
    """The message that a JSON object makes; null stands for what is not set, unless any JSON value may stand there."""
    return _written(_writing(kind.DESCRIPTOR), kind, document)


def _written(plan: Mapping[str, tuple[str, Convert | None]], kind: type[Message], document: Mapping[str, Any]) -> Any:
    fields = {}
    for name, value in document.items():
        if name not in plan:
            continue
        field, convert = plan[name]
        if value is not None or convert is _text:
            fields[field] = value if convert is None else convert(value)
    return kind(**fields)


def json_name(field: FieldDescriptor) -> str:
    """What a field is called in JSON."""
    name: str = field.name
    return RENAMED.get(name) or name.removesuffix(JSON)


# -- reading


@cache
def _reading(descriptor: Descriptor) -> dict[int, tuple[str, Convert | None]]:
    return {field.number: (json_name(field), _reads(field)) for field in descriptor.fields}


def _reads(field: FieldDescriptor) -> Convert | None:
    convert: Convert | None = None
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        # of texts only
        return dict
    if field.message_type is not None:
        convert = _moment if field.message_type is Timestamp.DESCRIPTOR else params_of
    elif field.enum_type is not None:
        names = _names(field.enum_type)
        convert = lambda number: names.get(number, str(number))  # noqa: E731
    elif field.name.endswith(JSON):
        convert = _value
    elif field.type == FieldDescriptor.TYPE_BYTES:
        convert = _base64
    return _each(convert) if field.is_repeated else convert


def _each(convert: Convert | None) -> Convert:
    return list if convert is None else lambda values: [convert(value) for value in values]


def _moment(value: Timestamp) -> str:
    try:
        moment: datetime = value.ToDatetime(UTC)
    except (ValueError, OverflowError):
        raise InvalidParams("A moment is out of range.") from None
    return moment.isoformat()


def _value(text: str) -> Any:
    return parse(text.encode(), ENVELOPE_DEPTH)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


# -- writing


@cache
def _writing(descriptor: Descriptor) -> dict[str, tuple[str, Convert | None]]:
    return {json_name(field): (field.name, _writes(field)) for field in descriptor.fields}


def _writes(field: FieldDescriptor) -> Convert | None:
    convert: Convert | None = None
    inner = field.message_type
    if inner is not None and inner.GetOptions().map_entry:
        return _entries(inner.fields_by_name["value"])
    if inner is not None:
        convert = _timestamp if inner is Timestamp.DESCRIPTOR else _nested(inner)
    elif field.enum_type is not None:
        convert = {name: number for number, name in _names(field.enum_type).items()}.__getitem__
    elif field.name.endswith(JSON):
        convert = _text
    elif field.type == FieldDescriptor.TYPE_BYTES:
        convert = base64.b64decode
    return _each(convert) if field.is_repeated else convert


def _nested(descriptor: Descriptor) -> Convert:
    kind: GeneratedProtocolMessageType = GetMessageClass(descriptor)
    return lambda document: message_of(kind, document)


def _entries(field: FieldDescriptor) -> Convert:
    convert = _writes(field)
    if convert is None:
        return lambda entries: entries
    return lambda entries: {name: convert(value) for name, value in entries.items()}


def _timestamp(text: str) -> Timestamp:
    since = datetime.fromisoformat(text) - EPOCH
    return Timestamp(seconds=since.days * 86400 + since.seconds, nanos=since.microseconds * 1000)


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()


@cache
def _names(kind: EnumDescriptor) -> dict[int, str]:
    """What the values of an enum are called in JSON; the unspecified one is called nothing."""
    values = [value for value in kind.values if value.number]
    unspecified: str = kind.values_by_number[0].name
    prefix = unspecified.removesuffix("UNSPECIFIED")
    return {value.number: value.name.removeprefix(prefix).lower() for value in values}
