"""JSON-RPC 2.0: texts to calls, replies to texts."""

import logging
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from audit_app.errors import InternalError, InvalidParams, Refusal
from erlmcp_site.pipeline.errors import InvalidRequest
from erlmcp_site.pipeline.messages import RawContent, Reply
from erlmcp_site.transports.documents import parse
from erlmcp_site.transports.wire import jsonrpc_error

log = logging.getLogger(__name__)

MAX_BATCH = 100

ENVELOPE_DEPTH = 6
"""Levels around the content of a resource: a batch, its call, params, operations, one of them, and its params."""

META = "_meta"
"""The member of params, results and data of errors that is about the call itself, as in MCP."""

TRACE = ("traceparent", "tracestate")

Id = str | int | float | None

_ID_TYPES = (str, int, float, type(None))


@dataclass(frozen=True, slots=True)
class Call:
    """One call. A notification is a call that wants no answer, whatever becomes of it.

    `metadata` is what its params say beside the parameters of the method, in `_meta`.
    """

    id: Id
    method: str
    params: Mapping[str, Any]
    is_notification: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BadCall:
    """A member of a message that is no call that we take, and why."""

    id: Id
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class Message:
    """What one text holds: one call, or a batch whose answers go into one array."""

    calls: list[Call | BadCall]
    is_batch: bool = False


def decode(text: bytes) -> Message:
    """The calls of a text, in its order.

    Raises ParseError, TooDeep, InvalidParams (integers beyond 64 bits), and InvalidRequest for a batch that is empty or
    longer than 100. A single bad call does not raise: it is a BadCall.
    """
    value = parse(text, ENVELOPE_DEPTH)
    if not isinstance(value, list):
        return Message([_call(value)])
    if not value:
        raise InvalidRequest("A batch has at least one call.")
    if len(value) > MAX_BATCH:
        raise InvalidRequest(f"A batch has at most {MAX_BATCH} calls.", limit=MAX_BATCH)
    return Message([_call(one) for one in value], is_batch=True)


def _call(value: Any) -> Call | BadCall:
    if not isinstance(value, dict):
        return BadCall(None, InvalidRequest("A call is a JSON object."))
    is_notification = "id" not in value
    call_id = value.get("id")
    if isinstance(call_id, bool) or not isinstance(call_id, _ID_TYPES):
        return BadCall(None, InvalidRequest("The id of a call is a string, a number or null."))
    if value.get("jsonrpc") != "2.0":
        return BadCall(call_id, InvalidRequest('A call has "jsonrpc": "2.0".'))
    method = value.get("method")
    if not isinstance(method, str):
        return BadCall(call_id, InvalidRequest("A call has a method, which is a string."))
    params = value.get("params", _NO_PARAMS)
    if not isinstance(params, dict):
        refusal = InvalidParams if isinstance(params, list) else InvalidRequest
        return BadCall(call_id, refusal("The params are an object: they go by name."))
    if META not in params:
        return Call(call_id, method, params, is_notification)
    told = params.pop(META)
    if not isinstance(told, dict):
        return BadCall(call_id, InvalidParams(f"{META} is an object."))
    metadata = {name: told[name] for name in TRACE if isinstance(told.get(name), str)}
    return Call(call_id, method, params, is_notification, metadata)


_NO_PARAMS: dict[str, Any] = {}


def encode(call_id: Id, reply: Reply) -> bytes:
    """The answer to a call."""
    if reply.refusal is not None:
        return encode_refusal(call_id, reply.refusal, reply.request_id, reply.traceparent)
    result = reply.result
    if isinstance(result, RawContent):
        result = {"mime_type": result.mime_type, "blob": b64encode(result.data).decode()}
    if reply.replayed:
        result = {**result, "idempotent_replayed": True}
    try:
        if reply.traceparent:
            result = _with_trace(result, reply.traceparent)
        return encode_result(call_id, result)
    except orjson.JSONEncodeError:
        log.exception("the result of request %s (%s) cannot be encoded", reply.request_id, reply.method)
        return encode_refusal(call_id, InternalError(), reply.request_id)


def encode_result(call_id: Id, result: Any) -> bytes:
    """The answer to a call that succeeded. Raises orjson.JSONEncodeError."""
    return orjson.dumps({"jsonrpc": "2.0", "id": call_id, "result": result}, option=orjson.OPT_UTC_Z)


def _with_trace(result: Any, traceparent: str) -> Any:
    """A result, which is an object, that names its request's span, too."""
    if isinstance(result, orjson.Fragment):
        inner = orjson.dumps(result)
        return orjson.Fragment(b'{"%b":{"traceparent":"%b"},%b' % (META.encode(), traceparent.encode(), inner[1:]))
    return {META: {"traceparent": traceparent}, **result}


def encode_refusal(call_id: Id, refusal: Refusal, request_id: str, traceparent: str = "") -> bytes:
    """The answer to a call that was refused, or (id null) to a text that holds no call."""
    error = jsonrpc_error(refusal, request_id)
    if traceparent:
        error["data"][META] = {"traceparent": traceparent}
    return orjson.dumps({"jsonrpc": "2.0", "id": call_id, "error": error}, default=str, option=orjson.OPT_NON_STR_KEYS)


def notification(method: str, params: Mapping[str, Any]) -> bytes:
    """A call of ours to a client, which wants no answer."""
    return orjson.dumps({"jsonrpc": "2.0", "method": method, "params": params})
