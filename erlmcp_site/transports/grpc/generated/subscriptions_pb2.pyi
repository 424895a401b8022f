import datetime

from erlmcp_site.transports.grpc.generated import resources_pb2 as _resources_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EventKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EVENT_KIND_UNSPECIFIED: _ClassVar[EventKind]
    EVENT_KIND_CREATED: _ClassVar[EventKind]
    EVENT_KIND_UPDATED: _ClassVar[EventKind]
    EVENT_KIND_DELETED: _ClassVar[EventKind]

class Start(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    START_UNSPECIFIED: _ClassVar[Start]
    START_NOW: _ClassVar[Start]
    START_EARLIEST: _ClassVar[Start]
EVENT_KIND_UNSPECIFIED: EventKind
EVENT_KIND_CREATED: EventKind
EVENT_KIND_UPDATED: EventKind
EVENT_KIND_DELETED: EventKind
START_UNSPECIFIED: Start
START_NOW: Start
START_EARLIEST: Start

class DeliveryOptions(_message.Message):
    __slots__ = ("batch_size", "throttle_ms", "delta", "include_content")
    BATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    THROTTLE_MS_FIELD_NUMBER: _ClassVar[int]
    DELTA_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_CONTENT_FIELD_NUMBER: _ClassVar[int]
    batch_size: int
    throttle_ms: int
    delta: bool
    include_content: bool
    def __init__(self, batch_size: _Optional[int] = ..., throttle_ms: _Optional[int] = ..., delta: _Optional[bool] = ..., include_content: _Optional[bool] = ...) -> None: ...

class Subscription(_message.Message):
    __slots__ = ("id", "resource", "events", "client_id", "created", "label", "options", "offset")
    ID_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    id: str
    resource: str
    events: _containers.RepeatedScalarFieldContainer[EventKind]
    client_id: str
    created: _timestamp_pb2.Timestamp
    label: str
    options: DeliveryOptions
    offset: int
    def __init__(self, id: _Optional[str] = ..., resource: _Optional[str] = ..., events: _Optional[_Iterable[_Union[EventKind, str]]] = ..., client_id: _Optional[str] = ..., created: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., label: _Optional[str] = ..., options: _Optional[_Union[DeliveryOptions, _Mapping]] = ..., offset: _Optional[int] = ...) -> None: ...

class SubscriptionsCreateRequest(_message.Message):
    __slots__ = ("uri", "events", "client_id", "label", "options", "start", "start_offset")
    URI_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    START_OFFSET_FIELD_NUMBER: _ClassVar[int]
    uri: str
    events: _containers.RepeatedScalarFieldContainer[EventKind]
    client_id: str
    label: str
    options: DeliveryOptions
    start: Start
    start_offset: int
    def __init__(self, uri: _Optional[str] = ..., events: _Optional[_Iterable[_Union[EventKind, str]]] = ..., client_id: _Optional[str] = ..., label: _Optional[str] = ..., options: _Optional[_Union[DeliveryOptions, _Mapping]] = ..., start: _Optional[_Union[Start, str]] = ..., start_offset: _Optional[int] = ...) -> None: ...

class SubscriptionsCreateResponse(_message.Message):
    __slots__ = ("subscription",)
    SUBSCRIPTION_FIELD_NUMBER: _ClassVar[int]
    subscription: Subscription
    def __init__(self, subscription: _Optional[_Union[Subscription, _Mapping]] = ...) -> None: ...

class SubscriptionsGetRequest(_message.Message):
    __slots__ = ("subscription",)
    SUBSCRIPTION_FIELD_NUMBER: _ClassVar[int]
    subscription: str
    def __init__(self, subscription: _Optional[str] = ...) -> None: ...

class SubscriptionsGetResponse(_message.Message):
    __slots__ = ("subscription",)
    SUBSCRIPTION_FIELD_NUMBER: _ClassVar[int]
    subscription: Subscription
    def __init__(self, subscription: _Optional[_Union[Subscription, _Mapping]] = ...) -> None: ...

class SubscriptionsListRequest(_message.Message):
    __slots__ = ("limit", "cursor")
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    limit: int
    cursor: str
    def __init__(self, limit: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class SubscriptionsListResponse(_message.Message):
    __slots__ = ("subscriptions", "next_cursor")
    SUBSCRIPTIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    subscriptions: _containers.RepeatedCompositeFieldContainer[Subscription]
    next_cursor: str
    def __init__(self, subscriptions: _Optional[_Iterable[_Union[Subscription, _Mapping]]] = ..., next_cursor: _Optional[str] = ...) -> None: ...

class SubscriptionsDeleteRequest(_message.Message):
    __slots__ = ("subscription",)
    SUBSCRIPTION_FIELD_NUMBER: _ClassVar[int]
    subscription: str
    def __init__(self, subscription: _Optional[str] = ...) -> None: ...

class SubscriptionsDeleteResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class FollowRequest(_message.Message):
    __slots__ = ("uri", "subscription", "events", "options", "start", "start_offset")
    URI_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIPTION_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    START_OFFSET_FIELD_NUMBER: _ClassVar[int]
    uri: str
    subscription: str
    events: _containers.RepeatedScalarFieldContainer[EventKind]
    options: DeliveryOptions
    start: Start
    start_offset: int
    def __init__(self, uri: _Optional[str] = ..., subscription: _Optional[str] = ..., events: _Optional[_Iterable[_Union[EventKind, str]]] = ..., options: _Optional[_Union[DeliveryOptions, _Mapping]] = ..., start: _Optional[_Union[Start, str]] = ..., start_offset: _Optional[int] = ...) -> None: ...

class FollowResponse(_message.Message):
    __slots__ = ("started", "events", "bookmark", "reset", "drain")
    STARTED_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    BOOKMARK_FIELD_NUMBER: _ClassVar[int]
    RESET_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    started: Started
    events: Events
    bookmark: Bookmark
    reset: Reset
    drain: Drain
    def __init__(self, started: _Optional[_Union[Started, _Mapping]] = ..., events: _Optional[_Union[Events, _Mapping]] = ..., bookmark: _Optional[_Union[Bookmark, _Mapping]] = ..., reset: _Optional[_Union[Reset, _Mapping]] = ..., drain: _Optional[_Union[Drain, _Mapping]] = ...) -> None: ...

class Started(_message.Message):
    __slots__ = ("subscription", "offset")
    SUBSCRIPTION_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    subscription: str
    offset: int
    def __init__(self, subscription: _Optional[str] = ..., offset: _Optional[int] = ...) -> None: ...

class Events(_message.Message):
    __slots__ = ("events", "offset")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[Event]
    offset: int
    def __init__(self, events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ..., offset: _Optional[int] = ...) -> None: ...

class Bookmark(_message.Message):
    __slots__ = ("offset",)
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    offset: int
    def __init__(self, offset: _Optional[int] = ...) -> None: ...

class Reset(_message.Message):
    __slots__ = ("earliest", "head")
    EARLIEST_FIELD_NUMBER: _ClassVar[int]
    HEAD_FIELD_NUMBER: _ClassVar[int]
    earliest: int
    head: int
    def __init__(self, earliest: _Optional[int] = ..., head: _Optional[int] = ...) -> None: ...

class Drain(_message.Message):
    __slots__ = ("retry_ms",)
    RETRY_MS_FIELD_NUMBER: _ClassVar[int]
    retry_ms: int
    def __init__(self, retry_ms: _Optional[int] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("id", "source", "subject", "type", "time", "offset", "version", "resolution", "resource", "delta", "traceparent", "tracestate")
    ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RESOLUTION_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    DELTA_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    TRACESTATE_FIELD_NUMBER: _ClassVar[int]
    id: str
    source: str
    subject: str
    type: str
    time: _timestamp_pb2.Timestamp
    offset: int
    version: int
    resolution: _resources_pb2.OnConflict
    resource: _resources_pb2.Resource
    delta: Delta
    traceparent: str
    tracestate: str
    def __init__(self, id: _Optional[str] = ..., source: _Optional[str] = ..., subject: _Optional[str] = ..., type: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., offset: _Optional[int] = ..., version: _Optional[int] = ..., resolution: _Optional[_Union[_resources_pb2.OnConflict, str]] = ..., resource: _Optional[_Union[_resources_pb2.Resource, _Mapping]] = ..., delta: _Optional[_Union[Delta, _Mapping]] = ..., traceparent: _Optional[str] = ..., tracestate: _Optional[str] = ...) -> None: ...

class Delta(_message.Message):
    __slots__ = ("patch_json", "base_version", "resolution")
    PATCH_JSON_FIELD_NUMBER: _ClassVar[int]
    BASE_VERSION_FIELD_NUMBER: _ClassVar[int]
    RESOLUTION_FIELD_NUMBER: _ClassVar[int]
    patch_json: str
    base_version: int
    resolution: _resources_pb2.OnConflict
    def __init__(self, patch_json: _Optional[str] = ..., base_version: _Optional[int] = ..., resolution: _Optional[_Union[_resources_pb2.OnConflict, str]] = ...) -> None: ...

class PollRequest(_message.Message):
    __slots__ = ("subscription", "after", "timeout_ms", "limit")
    SUBSCRIPTION_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    subscription: str
    after: int
    timeout_ms: int
    limit: int
    def __init__(self, subscription: _Optional[str] = ..., after: _Optional[int] = ..., timeout_ms: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class PollResponse(_message.Message):
    __slots__ = ("events", "offset")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[Event]
    offset: int
    def __init__(self, events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ..., offset: _Optional[int] = ...) -> None: ...

class AckRequest(_message.Message):
    __slots__ = ("subscription", "offset")
    SUBSCRIPTION_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    subscription: str
    offset: int
    def __init__(self, subscription: _Optional[str] = ..., offset: _Optional[int] = ...) -> None: ...

class AckResponse(_message.Message):
    __slots__ = ("subscription", "offset")
    SUBSCRIPTION_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    subscription: str
    offset: int
    def __init__(self, subscription: _Optional[str] = ..., offset: _Optional[int] = ...) -> None: ...
