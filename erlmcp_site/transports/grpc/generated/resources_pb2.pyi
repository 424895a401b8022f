import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class OnConflict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ON_CONFLICT_UNSPECIFIED: _ClassVar[OnConflict]
    ON_CONFLICT_LAST_WRITE_WINS: _ClassVar[OnConflict]
    ON_CONFLICT_MERGE: _ClassVar[OnConflict]
    ON_CONFLICT_REJECT: _ClassVar[OnConflict]

class Consistency(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONSISTENCY_UNSPECIFIED: _ClassVar[Consistency]
    CONSISTENCY_STRONG: _ClassVar[Consistency]
    CONSISTENCY_CAUSAL: _ClassVar[Consistency]
    CONSISTENCY_EVENTUAL: _ClassVar[Consistency]

class PatchType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PATCH_TYPE_UNSPECIFIED: _ClassVar[PatchType]
    PATCH_TYPE_MERGE: _ClassVar[PatchType]
    PATCH_TYPE_JSON: _ClassVar[PatchType]
ON_CONFLICT_UNSPECIFIED: OnConflict
ON_CONFLICT_LAST_WRITE_WINS: OnConflict
ON_CONFLICT_MERGE: OnConflict
ON_CONFLICT_REJECT: OnConflict
CONSISTENCY_UNSPECIFIED: Consistency
CONSISTENCY_STRONG: Consistency
CONSISTENCY_CAUSAL: Consistency
CONSISTENCY_EVENTUAL: Consistency
PATCH_TYPE_UNSPECIFIED: PatchType
PATCH_TYPE_MERGE: PatchType
PATCH_TYPE_JSON: PatchType

class Resource(_message.Message):
    __slots__ = ("uri", "name", "title", "description", "mime_type", "version", "on_conflict", "size", "created_at", "updated_at", "offset", "content_json", "text", "blob", "resolution", "content_destroyed", "matches")
    URI_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    MIME_TYPE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ON_CONFLICT_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    CONTENT_JSON_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    BLOB_FIELD_NUMBER: _ClassVar[int]
    RESOLUTION_FIELD_NUMBER: _ClassVar[int]
    CONTENT_DESTROYED_FIELD_NUMBER: _ClassVar[int]
    MATCHES_FIELD_NUMBER: _ClassVar[int]
    uri: str
    name: str
    title: str
    description: str
    mime_type: str
    version: int
    on_conflict: OnConflict
    size: int
    created_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    offset: int
    content_json: str
    text: str
    blob: bytes
    resolution: OnConflict
    content_destroyed: bool
    matches: Matches
    def __init__(self, uri: _Optional[str] = ..., name: _Optional[str] = ..., title: _Optional[str] = ..., description: _Optional[str] = ..., mime_type: _Optional[str] = ..., version: _Optional[int] = ..., on_conflict: _Optional[_Union[OnConflict, str]] = ..., size: _Optional[int] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., offset: _Optional[int] = ..., content_json: _Optional[str] = ..., text: _Optional[str] = ..., blob: _Optional[bytes] = ..., resolution: _Optional[_Union[OnConflict, str]] = ..., content_destroyed: _Optional[bool] = ..., matches: _Optional[_Union[Matches, _Mapping]] = ...) -> None: ...

class ResourcesListRequest(_message.Message):
    __slots__ = ("prefix", "limit", "cursor")
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    prefix: str
    limit: int
    cursor: str
    def __init__(self, prefix: _Optional[str] = ..., limit: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class ResourcesListResponse(_message.Message):
    __slots__ = ("resources", "next_cursor")
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    resources: _containers.RepeatedCompositeFieldContainer[Resource]
    next_cursor: str
    def __init__(self, resources: _Optional[_Iterable[_Union[Resource, _Mapping]]] = ..., next_cursor: _Optional[str] = ...) -> None: ...

class SearchRequest(_message.Message):
    __slots__ = ("prefix", "text", "path", "value_json", "limit", "cursor")
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    VALUE_JSON_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    prefix: str
    text: str
    path: str
    value_json: str
    limit: int
    cursor: str
    def __init__(self, prefix: _Optional[str] = ..., text: _Optional[str] = ..., path: _Optional[str] = ..., value_json: _Optional[str] = ..., limit: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class SearchResponse(_message.Message):
    __slots__ = ("resources", "next_cursor")
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    resources: _containers.RepeatedCompositeFieldContainer[Resource]
    next_cursor: str
    def __init__(self, resources: _Optional[_Iterable[_Union[Resource, _Mapping]]] = ..., next_cursor: _Optional[str] = ...) -> None: ...

class Matches(_message.Message):
    __slots__ = ("fields", "paths")
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    PATHS_FIELD_NUMBER: _ClassVar[int]
    fields: _containers.RepeatedScalarFieldContainer[str]
    paths: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, fields: _Optional[_Iterable[str]] = ..., paths: _Optional[_Iterable[str]] = ...) -> None: ...

class TemplatesRequest(_message.Message):
    __slots__ = ("limit", "cursor")
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    limit: int
    cursor: str
    def __init__(self, limit: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class TemplatesResponse(_message.Message):
    __slots__ = ("templates", "next_cursor")
    TEMPLATES_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    templates: _containers.RepeatedCompositeFieldContainer[Collection]
    next_cursor: str
    def __init__(self, templates: _Optional[_Iterable[_Union[Collection, _Mapping]]] = ..., next_cursor: _Optional[str] = ...) -> None: ...

class Collection(_message.Message):
    __slots__ = ("name", "template", "title", "description", "mime_type")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    MIME_TYPE_FIELD_NUMBER: _ClassVar[int]
    name: str
    template: str
    title: str
    description: str
    mime_type: str
    def __init__(self, name: _Optional[str] = ..., template: _Optional[str] = ..., title: _Optional[str] = ..., description: _Optional[str] = ..., mime_type: _Optional[str] = ...) -> None: ...

class ReadRequest(_message.Message):
    __slots__ = ("uri", "consistency", "after", "version")
    URI_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    uri: str
    consistency: Consistency
    after: int
    version: int
    def __init__(self, uri: _Optional[str] = ..., consistency: _Optional[_Union[Consistency, str]] = ..., after: _Optional[int] = ..., version: _Optional[int] = ...) -> None: ...

class ReadResponse(_message.Message):
    __slots__ = ("resource",)
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    resource: Resource
    def __init__(self, resource: _Optional[_Union[Resource, _Mapping]] = ...) -> None: ...

class HistoryRequest(_message.Message):
    __slots__ = ("uri", "limit", "cursor")
    URI_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    uri: str
    limit: int
    cursor: str
    def __init__(self, uri: _Optional[str] = ..., limit: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class HistoryResponse(_message.Message):
    __slots__ = ("versions", "next_cursor")
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    versions: _containers.RepeatedCompositeFieldContainer[Version]
    next_cursor: str
    def __init__(self, versions: _Optional[_Iterable[_Union[Version, _Mapping]]] = ..., next_cursor: _Optional[str] = ...) -> None: ...

class Version(_message.Message):
    __slots__ = ("uri", "version", "offset", "type", "time", "name", "title", "mime_type", "size", "resolution")
    URI_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    MIME_TYPE_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    RESOLUTION_FIELD_NUMBER: _ClassVar[int]
    uri: str
    version: int
    offset: int
    type: str
    time: _timestamp_pb2.Timestamp
    name: str
    title: str
    mime_type: str
    size: int
    resolution: OnConflict
    def __init__(self, uri: _Optional[str] = ..., version: _Optional[int] = ..., offset: _Optional[int] = ..., type: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., name: _Optional[str] = ..., title: _Optional[str] = ..., mime_type: _Optional[str] = ..., size: _Optional[int] = ..., resolution: _Optional[_Union[OnConflict, str]] = ...) -> None: ...

class DiffRequest(_message.Message):
    __slots__ = ("uri", "from_version", "to_version")
    URI_FIELD_NUMBER: _ClassVar[int]
    FROM_VERSION_FIELD_NUMBER: _ClassVar[int]
    TO_VERSION_FIELD_NUMBER: _ClassVar[int]
    uri: str
    from_version: int
    to_version: int
    def __init__(self, uri: _Optional[str] = ..., from_version: _Optional[int] = ..., to_version: _Optional[int] = ...) -> None: ...

class DiffResponse(_message.Message):
    __slots__ = ("uri", "from_version", "to_version", "kind", "patch_json", "fields_json")
    URI_FIELD_NUMBER: _ClassVar[int]
    FROM_VERSION_FIELD_NUMBER: _ClassVar[int]
    TO_VERSION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    PATCH_JSON_FIELD_NUMBER: _ClassVar[int]
    FIELDS_JSON_FIELD_NUMBER: _ClassVar[int]
    uri: str
    from_version: int
    to_version: int
    kind: str
    patch_json: str
    fields_json: str
    def __init__(self, uri: _Optional[str] = ..., from_version: _Optional[int] = ..., to_version: _Optional[int] = ..., kind: _Optional[str] = ..., patch_json: _Optional[str] = ..., fields_json: _Optional[str] = ...) -> None: ...

class ResourcesCreateRequest(_message.Message):
    __slots__ = ("uri", "content_json", "text", "blob", "mime_type", "name", "title", "description", "on_conflict", "base_version")
    URI_FIELD_NUMBER: _ClassVar[int]
    CONTENT_JSON_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    BLOB_FIELD_NUMBER: _ClassVar[int]
    MIME_TYPE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    ON_CONFLICT_FIELD_NUMBER: _ClassVar[int]
    BASE_VERSION_FIELD_NUMBER: _ClassVar[int]
    uri: str
    content_json: str
    text: str
    blob: bytes
    mime_type: str
    name: str
    title: str
    description: str
    on_conflict: OnConflict
    base_version: int
    def __init__(self, uri: _Optional[str] = ..., content_json: _Optional[str] = ..., text: _Optional[str] = ..., blob: _Optional[bytes] = ..., mime_type: _Optional[str] = ..., name: _Optional[str] = ..., title: _Optional[str] = ..., description: _Optional[str] = ..., on_conflict: _Optional[_Union[OnConflict, str]] = ..., base_version: _Optional[int] = ...) -> None: ...

class ResourcesCreateResponse(_message.Message):
    __slots__ = ("resource",)
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    resource: Resource
    def __init__(self, resource: _Optional[_Union[Resource, _Mapping]] = ...) -> None: ...

class WriteRequest(_message.Message):
    __slots__ = ("uri", "content_json", "text", "blob", "mime_type", "name", "title", "description", "on_conflict", "base_version", "must_exist")
    URI_FIELD_NUMBER: _ClassVar[int]
    CONTENT_JSON_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    BLOB_FIELD_NUMBER: _ClassVar[int]
    MIME_TYPE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    ON_CONFLICT_FIELD_NUMBER: _ClassVar[int]
    BASE_VERSION_FIELD_NUMBER: _ClassVar[int]
    MUST_EXIST_FIELD_NUMBER: _ClassVar[int]
    uri: str
    content_json: str
    text: str
    blob: bytes
    mime_type: str
    name: str
    title: str
    description: str
    on_conflict: OnConflict
    base_version: int
    must_exist: bool
    def __init__(self, uri: _Optional[str] = ..., content_json: _Optional[str] = ..., text: _Optional[str] = ..., blob: _Optional[bytes] = ..., mime_type: _Optional[str] = ..., name: _Optional[str] = ..., title: _Optional[str] = ..., description: _Optional[str] = ..., on_conflict: _Optional[_Union[OnConflict, str]] = ..., base_version: _Optional[int] = ..., must_exist: _Optional[bool] = ...) -> None: ...

class WriteResponse(_message.Message):
    __slots__ = ("resource", "created")
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    resource: Resource
    created: bool
    def __init__(self, resource: _Optional[_Union[Resource, _Mapping]] = ..., created: _Optional[bool] = ...) -> None: ...

class PatchRequest(_message.Message):
    __slots__ = ("uri", "patch_json", "patch_type", "on_conflict", "base_version")
    URI_FIELD_NUMBER: _ClassVar[int]
    PATCH_JSON_FIELD_NUMBER: _ClassVar[int]
    PATCH_TYPE_FIELD_NUMBER: _ClassVar[int]
    ON_CONFLICT_FIELD_NUMBER: _ClassVar[int]
    BASE_VERSION_FIELD_NUMBER: _ClassVar[int]
    uri: str
    patch_json: str
    patch_type: PatchType
    on_conflict: OnConflict
    base_version: int
    def __init__(self, uri: _Optional[str] = ..., patch_json: _Optional[str] = ..., patch_type: _Optional[_Union[PatchType, str]] = ..., on_conflict: _Optional[_Union[OnConflict, str]] = ..., base_version: _Optional[int] = ...) -> None: ...

class PatchResponse(_message.Message):
    __slots__ = ("resource",)
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    resource: Resource
    def __init__(self, resource: _Optional[_Union[Resource, _Mapping]] = ...) -> None: ...

class RestoreRequest(_message.Message):
    __slots__ = ("uri", "version", "on_conflict", "base_version")
    URI_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ON_CONFLICT_FIELD_NUMBER: _ClassVar[int]
    BASE_VERSION_FIELD_NUMBER: _ClassVar[int]
    uri: str
    version: int
    on_conflict: OnConflict
    base_version: int
    def __init__(self, uri: _Optional[str] = ..., version: _Optional[int] = ..., on_conflict: _Optional[_Union[OnConflict, str]] = ..., base_version: _Optional[int] = ...) -> None: ...

class RestoreResponse(_message.Message):
    __slots__ = ("resource",)
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    resource: Resource
    def __init__(self, resource: _Optional[_Union[Resource, _Mapping]] = ...) -> None: ...

class ResourcesDeleteRequest(_message.Message):
    __slots__ = ("uri", "on_conflict", "base_version")
    URI_FIELD_NUMBER: _ClassVar[int]
    ON_CONFLICT_FIELD_NUMBER: _ClassVar[int]
    BASE_VERSION_FIELD_NUMBER: _ClassVar[int]
    uri: str
    on_conflict: OnConflict
    base_version: int
    def __init__(self, uri: _Optional[str] = ..., on_conflict: _Optional[_Union[OnConflict, str]] = ..., base_version: _Optional[int] = ...) -> None: ...

class ResourcesDeleteResponse(_message.Message):
    __slots__ = ("uri", "version", "offset", "resolution")
    URI_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    RESOLUTION_FIELD_NUMBER: _ClassVar[int]
    uri: str
    version: int
    offset: int
    resolution: OnConflict
    def __init__(self, uri: _Optional[str] = ..., version: _Optional[int] = ..., offset: _Optional[int] = ..., resolution: _Optional[_Union[OnConflict, str]] = ...) -> None: ...

class BatchRequest(_message.Message):
    __slots__ = ("operations",)
    OPERATIONS_FIELD_NUMBER: _ClassVar[int]
    operations: _containers.RepeatedCompositeFieldContainer[Operation]
    def __init__(self, operations: _Optional[_Iterable[_Union[Operation, _Mapping]]] = ...) -> None: ...

class Operation(_message.Message):
    __slots__ = ("create", "write", "patch", "restore", "delete")
    CREATE_FIELD_NUMBER: _ClassVar[int]
    WRITE_FIELD_NUMBER: _ClassVar[int]
    PATCH_FIELD_NUMBER: _ClassVar[int]
    RESTORE_FIELD_NUMBER: _ClassVar[int]
    DELETE_FIELD_NUMBER: _ClassVar[int]
    create: ResourcesCreateRequest
    write: WriteRequest
    patch: PatchRequest
    restore: RestoreRequest
    delete: ResourcesDeleteRequest
    def __init__(self, create: _Optional[_Union[ResourcesCreateRequest, _Mapping]] = ..., write: _Optional[_Union[WriteRequest, _Mapping]] = ..., patch: _Optional[_Union[PatchRequest, _Mapping]] = ..., restore: _Optional[_Union[RestoreRequest, _Mapping]] = ..., delete: _Optional[_Union[ResourcesDeleteRequest, _Mapping]] = ...) -> None: ...

class BatchResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[Resource]
    def __init__(self, results: _Optional[_Iterable[_Union[Resource, _Mapping]]] = ...) -> None: ...
