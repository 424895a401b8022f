from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class Refusal(_message.Message):
    __slots__ = ("code", "category", "request_id", "data_json")
    CODE_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    DATA_JSON_FIELD_NUMBER: _ClassVar[int]
    code: str
    category: str
    request_id: str
    data_json: str
    def __init__(self, code: _Optional[str] = ..., category: _Optional[str] = ..., request_id: _Optional[str] = ..., data_json: _Optional[str] = ...) -> None: ...
