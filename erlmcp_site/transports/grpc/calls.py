"""RPCs with one answer: decode, run the pipeline, encode."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

import orjson
from django.conf import settings
from google.protobuf.message import DecodeError

from audit_app.errors import InternalError, Refusal, TooLarge, Unavailable
from erlmcp_site.methods.catalogue import pipeline
from erlmcp_site.methods.table import METHODS
from erlmcp_site.pipeline.errors import MethodNotFound, ParseError
from erlmcp_site.pipeline.messages import UNKNOWN, Reply, Unread
from erlmcp_site.transports.grpc.fields import message_of, params_of
from erlmcp_site.transports.grpc.incoming import Context, Incoming
from erlmcp_site.transports.grpc.rpcs import Rpc
from erlmcp_site.transports.grpc.statuses import end, refuse
from erlmcp_site.transports.polls import POLL, polls

log = logging.getLogger(__name__)

OPERATIONS = "operations"
POSITION = "log-offset"
"""What every answer tells of the log: sent along with a causal read, it is what that has to reflect."""

MESSAGE_OF_RESOURCES = 8
"""A request has at most as many bytes as so many of the largest resources, as a batch over REST."""

Behaviour = Callable[[bytes, Context], Awaitable[bytes]]


def answering(rpc: Rpc) -> Behaviour:
    """What answers the calls of an RPC."""
    is_causal = METHODS[rpc.method].is_causal

    async def answer(data: bytes, context: Context) -> bytes:
        incoming = Incoming(context)
        params, unread = read(rpc, data)
        if is_causal and POSITION in incoming.metadata:
            params.setdefault("after", incoming.metadata[POSITION])
        request = incoming.request(rpc.method, params, unread=unread)
        try:
            reply = await (polls.run(request) if rpc.method == POLL else pipeline.run(request))
        except Unavailable as refusal:
            refuse(context, refusal, request.id, (("request-id", request.id),))
            return b""
        text = b""
        if reply.refusal is None:
            reply, text = _encoded(rpc, reply)
        end(context, reply)
        if reply.then is not None:
            reply.then()
        return text

    return answer


def missing(path: str) -> Behaviour:
    """What answers calls of an RPC that there is not."""

    async def answer(data: bytes, context: Context) -> bytes:
        unread = Unread(refusal=MethodNotFound("There is no such RPC."), address=path)
        end(context, await pipeline.run(Incoming(context).request(UNKNOWN, {}, unread=unread)))
        return b""

    return answer


def read(rpc: Rpc, data: bytes) -> tuple[dict[str, Any], Unread | None]:
    """The parameters in a request, or why it cannot be read."""
    limit = MESSAGE_OF_RESOURCES * settings.RESOURCE_MAX_BYTES
    if len(data) > limit:
        return {}, Unread(refusal=TooLarge("The message is larger than the limit.", limit=limit))
    try:
        params = params_of(rpc.request.FromString(data))
        if OPERATIONS in params:
            params[OPERATIONS] = [_operation(choice) for choice in params[OPERATIONS]]
        return params, None
    except DecodeError:
        refusal: Refusal = ParseError(f"This is not a {rpc.request.DESCRIPTOR.full_name}.")
    except Refusal as error:
        refusal = error
    return {}, Unread(refusal=refusal)


def _operation(choice: Mapping[str, Any]) -> dict[str, Any]:
    """An operation of a batch as the method takes it: here, its verb is which of the fields there is."""
    for verb, params in choice.items():
        return {"method": f"resources/{verb}", "params": params}
    return {}


def _encoded(rpc: Rpc, reply: Reply) -> tuple[Reply, bytes]:
    """The response to a call, with its reply; a result that is no response of the RPC is a failure of ours."""
    forms = reply.forms
    if forms is not None and rpc.path in forms:
        return reply, forms[rpc.path]
    try:
        document = orjson.loads(orjson.dumps(reply.result, option=orjson.OPT_UTC_Z))
        fields = document if rpc.whole is None else {rpc.whole: document}
        if rpc.tells_created:
            fields["created"] = reply.created
        made = message_of(rpc.response, fields).SerializeToString()
    except (TypeError, ValueError):
        log.exception("the result of request %s (%s) cannot be encoded", reply.request_id, reply.method)
        return replace(reply, refusal=InternalError(), then=None), b""
    if forms is not None:
        forms[rpc.path] = made
    return reply, made
