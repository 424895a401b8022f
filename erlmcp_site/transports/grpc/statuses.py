"""What stands around the messages of an RPC: initial and trailing metadata, and the status (contract §7)."""

import grpc

from audit_app.errors import Refusal
from audit_app.redaction import redacted_text
from erlmcp_site.pipeline.messages import Reply
from erlmcp_site.transports.grpc.details import status_of
from erlmcp_site.transports.grpc.incoming import Context
from erlmcp_site.transports.quotas import quota_fields, wait_fields
from erlmcp_site.transports.wire import ROWS

DETAILS = "grpc-status-details-bin"
MAX_MESSAGE_CHARACTERS = 500

Metadata = tuple[tuple[str, str | bytes], ...]


async def begin(context: Context, reply: Reply, told: Metadata) -> None:
    """Send what a stream tells before its first message."""
    told += (("log-offset", str(reply.offset)), *quota_fields(reply.quotas), *_trace(reply))
    await context.send_initial_metadata(told)


def end(context: Context, reply: Reply) -> None:
    """Set what an RPC ends with: OK, or the status of the refusal."""
    told: Metadata = (("request-id", reply.request_id), ("log-offset", str(reply.offset)))
    if reply.session_id is not None:
        told += (("session-id", reply.session_id),)
    if reply.replayed:
        told += (("idempotent-replayed", "true"),)
    told += (*quota_fields(reply.quotas), *_trace(reply))
    if reply.refusal is None:
        context.set_trailing_metadata(told)
    else:
        refuse(context, reply.refusal, reply.request_id, told)


def _trace(reply: Reply) -> Metadata:
    return (("traceparent", reply.traceparent),) if reply.traceparent else ()


def refuse(context: Context, refusal: Refusal, request_id: str, told: Metadata) -> None:
    """Set the status of a refusal, with what else there is to tell in the trailing metadata."""
    code = grpc.StatusCode[ROWS[refusal.code].grpc]
    message = redacted_text(refusal.message)[:MAX_MESSAGE_CHARACTERS]
    context.set_code(code)
    context.set_details(message)
    context.set_trailing_metadata(
        (
            *told,
            *wait_fields(refusal),
            ("erlmcp-code", refusal.code),
            ("erlmcp-category", refusal.category),
            (DETAILS, status_of(refusal, request_id, code.value[0], message)),
        )
    )
