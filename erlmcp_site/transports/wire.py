"""How refusals look on each wire: one row a code (contract §7), and the bodies that the transports share."""

from dataclasses import dataclass
from typing import Any

from audit_app.errors import Refusal
from audit_app.redaction import redacted_text, redacted_texts
from erlmcp_site.pipeline.walks import RPC_STATUSES


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """A code on each wire: HTTP status, JSON-RPC error number, name of the gRPC status."""

    http: int
    jsonrpc: int
    grpc: str


ROWS: dict[str, Wire] = {
    "parse_error": Wire(http=400, jsonrpc=-32700, grpc="INVALID_ARGUMENT"),
    "invalid_request": Wire(http=400, jsonrpc=-32600, grpc="INVALID_ARGUMENT"),
    "method_not_found": Wire(http=404, jsonrpc=-32601, grpc="UNIMPLEMENTED"),
    "invalid_params": Wire(http=400, jsonrpc=-32602, grpc="INVALID_ARGUMENT"),
    "unauthenticated": Wire(http=401, jsonrpc=-32001, grpc="UNAUTHENTICATED"),
    "forbidden": Wire(http=403, jsonrpc=-32003, grpc="PERMISSION_DENIED"),
    "resource_not_found": Wire(http=404, jsonrpc=-32004, grpc="NOT_FOUND"),
    "version_conflict": Wire(http=409, jsonrpc=-32009, grpc="ABORTED"),
    "already_exists": Wire(http=409, jsonrpc=-32010, grpc="ALREADY_EXISTS"),
    "illegal_transition": Wire(http=409, jsonrpc=-32011, grpc="FAILED_PRECONDITION"),
    "idempotency_mismatch": Wire(http=422, jsonrpc=-32022, grpc="FAILED_PRECONDITION"),
    "rate_limited": Wire(http=429, jsonrpc=-32029, grpc="RESOURCE_EXHAUSTED"),
    "too_large": Wire(http=413, jsonrpc=-32013, grpc="RESOURCE_EXHAUSTED"),
    "unavailable": Wire(http=503, jsonrpc=-32053, grpc="UNAVAILABLE"),
    "internal_error": Wire(http=500, jsonrpc=-32603, grpc="INTERNAL"),
    "deadline_exceeded": Wire(http=504, jsonrpc=-32054, grpc="DEADLINE_EXCEEDED"),
    "invalid_uri": Wire(http=400, jsonrpc=-32602, grpc="INVALID_ARGUMENT"),
    "too_deep": Wire(http=400, jsonrpc=-32602, grpc="INVALID_ARGUMENT"),
    "unsupported_media_type": Wire(http=415, jsonrpc=-32602, grpc="INVALID_ARGUMENT"),
    "method_not_allowed": Wire(http=405, jsonrpc=-32601, grpc="UNIMPLEMENTED"),
    "patch_failed": Wire(http=409, jsonrpc=-32014, grpc="FAILED_PRECONDITION"),
    "reset": Wire(http=410, jsonrpc=-32016, grpc="OUT_OF_RANGE"),
    "refresh_reused": Wire(http=401, jsonrpc=-32001, grpc="UNAUTHENTICATED"),
}

RPC_STATUSES["grpc"] = {"": "OK"} | {code: row.grpc for code, row in ROWS.items()}
RPC_STATUSES["websocket"] = {code: str(row.jsonrpc) for code, row in ROWS.items()}


def error_data(refusal: Refusal, request_id: str) -> dict[str, Any]:
    """What every wire tells of a refusal: its data, code, category, request id, and seconds to wait where there are.

    What was sent is told back without what looks like a secret: answers are logged on their way.
    """
    data = {
        **redacted_texts(refusal.data),
        "code": refusal.code,
        "category": refusal.category,
        "request_id": request_id,
    }
    if refusal.retry_after is not None:
        data["retry_after"] = refusal.retry_after
    return data


def problem(refusal: Refusal, request_id: str, status: int) -> dict[str, Any]:
    """The RFC 9457 document of a refusal."""
    return {
        **error_data(refusal, request_id),
        "type": f"urn:erlmcp:problem:{refusal.code}",
        "title": refusal.code.replace("_", " ").capitalize(),
        "status": status,
        "detail": redacted_text(refusal.message),
    }


def jsonrpc_error(refusal: Refusal, request_id: str) -> dict[str, Any]:
    """The error object of a JSON-RPC 2.0 answer."""
    return {
        "code": ROWS[refusal.code].jsonrpc,
        "message": redacted_text(refusal.message),
        "data": error_data(refusal, request_id),
    }
