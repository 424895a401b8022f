import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Queue(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    QUEUE_UNSPECIFIED: _ClassVar[Queue]
    QUEUE_SECURITY: _ClassVar[Queue]
    QUEUE_DATA: _ClassVar[Queue]
    QUEUE_SYSTEM: _ClassVar[Queue]

class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTCOME_UNSPECIFIED: _ClassVar[Outcome]
    OUTCOME_SUCCESS: _ClassVar[Outcome]
    OUTCOME_REFUSED: _ClassVar[Outcome]
    OUTCOME_ERROR: _ClassVar[Outcome]

class Order(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ORDER_UNSPECIFIED: _ClassVar[Order]
    ORDER_NEWEST: _ClassVar[Order]
    ORDER_OLDEST: _ClassVar[Order]

class Bending(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BENDING_UNSPECIFIED: _ClassVar[Bending]
    BENDING_MISSING: _ClassVar[Bending]
    BENDING_CHANGED: _ClassVar[Bending]
    BENDING_UNLINKED: _ClassVar[Bending]
    BENDING_SURPLUS: _ClassVar[Bending]
    BENDING_HEAD: _ClassVar[Bending]
    BENDING_WITNESS: _ClassVar[Bending]
    BENDING_CHECKPOINT: _ClassVar[Bending]
QUEUE_UNSPECIFIED: Queue
QUEUE_SECURITY: Queue
QUEUE_DATA: Queue
QUEUE_SYSTEM: Queue
OUTCOME_UNSPECIFIED: Outcome
OUTCOME_SUCCESS: Outcome
OUTCOME_REFUSED: Outcome
OUTCOME_ERROR: Outcome
ORDER_UNSPECIFIED: Order
ORDER_NEWEST: Order
ORDER_OLDEST: Order
BENDING_UNSPECIFIED: Bending
BENDING_MISSING: Bending
BENDING_CHANGED: Bending
BENDING_UNLINKED: Bending
BENDING_SURPLUS: Bending
BENDING_HEAD: Bending
BENDING_WITNESS: Bending
BENDING_CHECKPOINT: Bending

class AuditListRequest(_message.Message):
    __slots__ = ("queue", "action", "user", "resource", "outcome", "since", "until", "cursor", "limit", "order")
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    queue: Queue
    action: str
    user: str
    resource: str
    outcome: Outcome
    since: _timestamp_pb2.Timestamp
    until: _timestamp_pb2.Timestamp
    cursor: str
    limit: int
    order: Order
    def __init__(self, queue: _Optional[_Union[Queue, str]] = ..., action: _Optional[str] = ..., user: _Optional[str] = ..., resource: _Optional[str] = ..., outcome: _Optional[_Union[Outcome, str]] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., cursor: _Optional[str] = ..., limit: _Optional[int] = ..., order: _Optional[_Union[Order, str]] = ...) -> None: ...

class AuditListResponse(_message.Message):
    __slots__ = ("entries", "next_cursor")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[AuditEntry]
    next_cursor: str
    def __init__(self, entries: _Optional[_Iterable[_Union[AuditEntry, _Mapping]]] = ..., next_cursor: _Optional[str] = ...) -> None: ...

class AuditEntry(_message.Message):
    __slots__ = ("id", "sequence", "timestamp", "queue", "user_id", "user", "action", "outcome", "code", "resource_type", "resource_id", "details_json", "source_ip", "user_agent", "session_id", "request_id", "transport", "prev_hash", "hash")
    ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_TYPE_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_ID_FIELD_NUMBER: _ClassVar[int]
    DETAILS_JSON_FIELD_NUMBER: _ClassVar[int]
    SOURCE_IP_FIELD_NUMBER: _ClassVar[int]
    USER_AGENT_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TRANSPORT_FIELD_NUMBER: _ClassVar[int]
    PREV_HASH_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    id: str
    sequence: int
    timestamp: _timestamp_pb2.Timestamp
    queue: Queue
    user_id: str
    user: str
    action: str
    outcome: Outcome
    code: str
    resource_type: str
    resource_id: str
    details_json: str
    source_ip: str
    user_agent: str
    session_id: str
    request_id: str
    transport: str
    prev_hash: str
    hash: str
    def __init__(self, id: _Optional[str] = ..., sequence: _Optional[int] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., queue: _Optional[_Union[Queue, str]] = ..., user_id: _Optional[str] = ..., user: _Optional[str] = ..., action: _Optional[str] = ..., outcome: _Optional[_Union[Outcome, str]] = ..., code: _Optional[str] = ..., resource_type: _Optional[str] = ..., resource_id: _Optional[str] = ..., details_json: _Optional[str] = ..., source_ip: _Optional[str] = ..., user_agent: _Optional[str] = ..., session_id: _Optional[str] = ..., request_id: _Optional[str] = ..., transport: _Optional[str] = ..., prev_hash: _Optional[str] = ..., hash: _Optional[str] = ...) -> None: ...

class VerifyRequest(_message.Message):
    __slots__ = ("start", "until")
    START_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    start: int
    until: int
    def __init__(self, start: _Optional[int] = ..., until: _Optional[int] = ...) -> None: ...

class VerifyResponse(_message.Message):
    __slots__ = ("ok", "sequence", "kind", "why", "first", "last", "entries", "checkpoints", "unsigned", "archived", "keys")
    class KeysEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    OK_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINTS_FIELD_NUMBER: _ClassVar[int]
    UNSIGNED_FIELD_NUMBER: _ClassVar[int]
    ARCHIVED_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    ok: bool
    sequence: int
    kind: Bending
    why: str
    first: int
    last: int
    entries: int
    checkpoints: int
    unsigned: int
    archived: int
    keys: _containers.ScalarMap[str, str]
    def __init__(self, ok: _Optional[bool] = ..., sequence: _Optional[int] = ..., kind: _Optional[_Union[Bending, str]] = ..., why: _Optional[str] = ..., first: _Optional[int] = ..., last: _Optional[int] = ..., entries: _Optional[int] = ..., checkpoints: _Optional[int] = ..., unsigned: _Optional[int] = ..., archived: _Optional[int] = ..., keys: _Optional[_Mapping[str, str]] = ...) -> None: ...
