"""How replies end on this wire: status, trailing metadata, and the details of google.rpc (contract §7)."""

from collections.abc import Iterator
from typing import Any

import grpc
import orjson
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from audit_app.errors import Refusal
from audit_app.redaction import redacted_text
from erlmcp_site.pipeline.messages import Reply
from erlmcp_site.transports.grpc.generated import errors_pb2
from erlmcp_site.transports.grpc.incoming import Context
from erlmcp_site.transports.wire import ROWS, error_data

DOMAIN = "erlmcp"
DETAILS = "grpc-status-details-bin"
MAX_MESSAGE_CHARACTERS = 500
MAX_DETAILS_BYTES = 3000
"""Clients take 8 KiB of metadata unless they say otherwise, and what is binary grows by a third on its way."""

Metadata = tuple[tuple[str, str | bytes], ...]


def end(context: Context, reply: Reply) -> None:
    """Set what an RPC ends with: OK, or the status of the refusal."""
    told: Metadata = (("request-id", reply.request_id), ("log-offset", str(reply.offset)))
    if reply.session_id is not None:
        told += (("session-id", reply.session_id),)
    if reply.replayed:
        told += (("idempotent-replayed", "true"),)
    if reply.refusal is None:
        context.set_trailing_metadata(told)
    else:
        refuse(context, reply.refusal, reply.request_id, told)


def refuse(context: Context, refusal: Refusal, request_id: str, told: Metadata) -> None:
    """Set the status of a refusal, with what else there is to tell in the trailing metadata."""
    code = grpc.StatusCode[ROWS[refusal.code].grpc]
    message = redacted_text(refusal.message)[:MAX_MESSAGE_CHARACTERS]
    context.set_code(code)
    context.set_details(message)
    details = Status(code=code.value[0], message=message, details=_details(refusal, request_id))
    context.set_trailing_metadata(
        (
            *told,
            ("erlmcp-code", refusal.code),
            ("erlmcp-category", refusal.category),
            (DETAILS, details.SerializeToString()),
        )
    )


def _details(refusal: Refusal, request_id: str) -> list[AnyMessage]:
    data = error_data(refusal, request_id)
    info = ErrorInfo(reason=refusal.code.upper(), domain=DOMAIN)
    info.metadata.update({name: data[name] for name in ("category", "request_id")})
    details: list[Message] = [info]
    if refusal.retry_after is not None:
        delay = Duration()
        delay.FromMilliseconds(round(refusal.retry_after * 1000))
        details.append(RetryInfo(retry_delay=delay))
    text = orjson.dumps(
        {name: value for name, value in data.items() if name not in {"code", "category", "request_id"}},
        default=str,
        option=orjson.OPT_NON_STR_KEYS,
    ).decode()
    whole = errors_pb2.Refusal(code=refusal.code, category=refusal.category, request_id=request_id)
    violations = BadRequest(field_violations=list(_violations("", data.get("errors"))))
    if len(text) + violations.ByteSize() <= MAX_DETAILS_BYTES:
        whole.data_json = text
        if violations.field_violations:
            details.append(violations)
    return [_packed(message) for message in (*details, whole)]


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
