"""The details of a status (google.rpc.Status): what REST says of a refusal in its body, typed (contract §7)."""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, QuotaFailure, RetryInfo
from google.rpc.status_pb2 import Status

from audit_app.errors import Refusal
from erlmcp_site.transports.grpc.generated import errors_pb2
from erlmcp_site.transports.wire import error_data

DOMAIN = "erlmcp"
NAMED = frozenset({"code", "category", "request_id"})
"""What a detail has fields for."""

MAX_BYTES = 3000
"""Clients take 8 KiB of metadata unless they say otherwise, and what is binary grows by a third on its way."""


def status_of(refusal: Refusal, request_id: str, number: int, message: str) -> bytes:
    """The google.rpc.Status of a refusal, for `grpc-status-details-bin`; `number` is that of the gRPC status."""
    data = error_data(refusal, request_id)
    info = ErrorInfo(reason=refusal.code.upper(), domain=DOMAIN)
    info.metadata.update({name: data[name] for name in ("category", "request_id")})
    details: list[Message] = [info]
    if refusal.retry_after is not None:
        delay = Duration()
        delay.FromMilliseconds(round(refusal.retry_after * 1000))
        details.append(RetryInfo(retry_delay=delay))
    if refusal.code == "rate_limited":
        details.append(_quota_failure(data, message))
    text = orjson.dumps(
        {name: value for name, value in data.items() if name not in NAMED},
        default=str,
        option=orjson.OPT_NON_STR_KEYS,
    ).decode()
    whole = errors_pb2.Refusal(code=refusal.code, category=refusal.category, request_id=request_id)
    violations = BadRequest(field_violations=list(_violations("", data.get("errors"))))
    if len(text) + violations.ByteSize() <= MAX_BYTES:
        whole.data_json = text
        if violations.field_violations:
            details.append(violations)
    packed = [_packed(detail) for detail in (*details, whole)]
    status: bytes = Status(code=number, message=message, details=packed).SerializeToString()
    return status


def _quota_failure(data: Mapping[str, Any], message: str) -> QuotaFailure:
    """Which limit or allowance was reached, and what it is."""
    limit = str(data.get("limit", ""))
    violation = QuotaFailure.Violation(subject=data.get("policy", ""), description=limit or message)
    return QuotaFailure(violations=[violation])


def _violations(field: str, errors: Any) -> Iterator[BadRequest.FieldViolation]:
    """What is wrong with which field, as the serializers tell it: objects of objects, and lists of texts at the end."""
    if isinstance(errors, dict):
        for name, inner in errors.items():
            yield from _violations(f"{field}.{name}" if field else str(name), inner)
    elif isinstance(errors, list):
        for inner in errors:
            yield from _violations(field, inner)
    elif errors is not None:
        yield BadRequest.FieldViolation(field=field, description=str(errors))


def _packed(message: Message) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(message)
    return packed
