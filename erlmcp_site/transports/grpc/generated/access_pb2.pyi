import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Verb(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VERB_UNSPECIFIED: _ClassVar[Verb]
    VERB_READ: _ClassVar[Verb]
    VERB_WRITE: _ClassVar[Verb]
    VERB_DELETE: _ClassVar[Verb]
    VERB_SUBSCRIBE: _ClassVar[Verb]
    VERB_ADMIN: _ClassVar[Verb]

class Effect(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EFFECT_UNSPECIFIED: _ClassVar[Effect]
    EFFECT_ALLOW: _ClassVar[Effect]
    EFFECT_DENY: _ClassVar[Effect]
VERB_UNSPECIFIED: Verb
VERB_READ: Verb
VERB_WRITE: Verb
VERB_DELETE: Verb
VERB_SUBSCRIBE: Verb
VERB_ADMIN: Verb
EFFECT_UNSPECIFIED: Effect
EFFECT_ALLOW: Effect
EFFECT_DENY: Effect

class Rule(_message.Message):
    __slots__ = ("id", "user", "group", "everyone", "pattern", "verbs", "effect", "created_by", "created_at", "expires_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    EVERYONE_FIELD_NUMBER: _ClassVar[int]
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    VERBS_FIELD_NUMBER: _ClassVar[int]
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    user: str
    group: str
    everyone: bool
    pattern: str
    verbs: _containers.RepeatedScalarFieldContainer[Verb]
    effect: Effect
    created_by: str
    created_at: _timestamp_pb2.Timestamp
    expires_at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., user: _Optional[str] = ..., group: _Optional[str] = ..., everyone: _Optional[bool] = ..., pattern: _Optional[str] = ..., verbs: _Optional[_Iterable[_Union[Verb, str]]] = ..., effect: _Optional[_Union[Effect, str]] = ..., created_by: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class AccessListRequest(_message.Message):
    __slots__ = ("limit", "cursor")
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    limit: int
    cursor: str
    def __init__(self, limit: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class AccessListResponse(_message.Message):
    __slots__ = ("rules", "next_cursor")
    RULES_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    rules: _containers.RepeatedCompositeFieldContainer[Rule]
    next_cursor: str
    def __init__(self, rules: _Optional[_Iterable[_Union[Rule, _Mapping]]] = ..., next_cursor: _Optional[str] = ...) -> None: ...

class GrantRequest(_message.Message):
    __slots__ = ("user", "group", "everyone", "pattern", "verbs", "effect", "expires_at")
    USER_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    EVERYONE_FIELD_NUMBER: _ClassVar[int]
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    VERBS_FIELD_NUMBER: _ClassVar[int]
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    user: str
    group: str
    everyone: bool
    pattern: str
    verbs: _containers.RepeatedScalarFieldContainer[Verb]
    effect: Effect
    expires_at: _timestamp_pb2.Timestamp
    def __init__(self, user: _Optional[str] = ..., group: _Optional[str] = ..., everyone: _Optional[bool] = ..., pattern: _Optional[str] = ..., verbs: _Optional[_Iterable[_Union[Verb, str]]] = ..., effect: _Optional[_Union[Effect, str]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GrantResponse(_message.Message):
    __slots__ = ("rule",)
    RULE_FIELD_NUMBER: _ClassVar[int]
    rule: Rule
    def __init__(self, rule: _Optional[_Union[Rule, _Mapping]] = ...) -> None: ...

class AccessRevokeRequest(_message.Message):
    __slots__ = ("rule",)
    RULE_FIELD_NUMBER: _ClassVar[int]
    rule: str
    def __init__(self, rule: _Optional[str] = ...) -> None: ...

class AccessRevokeResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ExplainRequest(_message.Message):
    __slots__ = ("user", "uri")
    USER_FIELD_NUMBER: _ClassVar[int]
    URI_FIELD_NUMBER: _ClassVar[int]
    user: str
    uri: str
    def __init__(self, user: _Optional[str] = ..., uri: _Optional[str] = ...) -> None: ...

class ExplainResponse(_message.Message):
    __slots__ = ("user", "uri", "verbs")
    class VerbsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Verdict
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Verdict, _Mapping]] = ...) -> None: ...
    USER_FIELD_NUMBER: _ClassVar[int]
    URI_FIELD_NUMBER: _ClassVar[int]
    VERBS_FIELD_NUMBER: _ClassVar[int]
    user: str
    uri: str
    verbs: _containers.MessageMap[str, Verdict]
    def __init__(self, user: _Optional[str] = ..., uri: _Optional[str] = ..., verbs: _Optional[_Mapping[str, Verdict]] = ...) -> None: ...

class Verdict(_message.Message):
    __slots__ = ("allowed", "why", "rule")
    ALLOWED_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    allowed: bool
    why: str
    rule: Rule
    def __init__(self, allowed: _Optional[bool] = ..., why: _Optional[str] = ..., rule: _Optional[_Union[Rule, _Mapping]] = ...) -> None: ...
