"""What a message comes to that is no request, or whose request fails: the error that its client is told, on record."""

import logging
from typing import Any

from mcp_types import INVALID_REQUEST, PARSE_ERROR, ErrorData, RequestId

from audit_app.errors import InvalidParams, Refusal, TooDeep
from erlmcp_site.pipeline.errors import MethodNotFound, ParseError
from erlmcp_site.transports.http.answers import Answer
from erlmcp_site.transports.http.bodies import json_of
from erlmcp_site.transports.http.incoming import Incoming
from erlmcp_site.transports.mcp import kernel
from erlmcp_site.transports.mcp.answers import error_answer
from erlmcp_site.transports.mcp.eras import VERSION_HEADER
from erlmcp_site.transports.mcp.exchange import Exchange

log = logging.getLogger(__name__)

INTERNAL = ErrorData(code=-32603, message="Internal server error")


class Rejected(Exception):
    """A message that does not get as far as its method: the error of its first check that fails (R2).

    `client` is the name that the client gives itself; `status` is that of HTTP, where it is not that of the code.
    """

    def __init__(
        self,
        refusal: Refusal,
        error: ErrorData,
        id: RequestId | None = None,
        *,
        client: str = "",
        status: int | None = None,
    ) -> None:
        self.refusal = refusal
        self.error = error
        self.id = id
        self.client = client
        self.status = status
        super().__init__(error.message)


def parsed(incoming: Incoming) -> Any:
    """The JSON value of a body. Raises Rejected."""
    try:
        return json_of(incoming.body)
    except (ParseError, TooDeep) as refusal:
        raise Rejected(refusal, ErrorData(code=PARSE_ERROR, message="Parse error")) from None
    except Refusal as refusal:
        raise Rejected(refusal, ErrorData(code=INVALID_REQUEST, message=refusal.message)) from None


async def reject(incoming: Incoming, rejected: Rejected) -> Answer:
    """The answer to what was rejected, which is on record."""
    version = incoming.headers.get(VERSION_HEADER, "")
    exchange = Exchange(incoming=incoming, id=rejected.id or 0, version=version, client=rejected.client)
    refusal = await exchange.refuse(rejected.refusal)
    error = rejected.error if refusal is rejected.refusal else kernel.error_of(exchange.error(refusal)) or INTERNAL
    return error_answer(rejected.id, error, exchange.headers, rejected.status)


async def told_of(exchange: Exchange, error: Exception) -> ErrorData:
    """What the client is told of an error. What never got to the pipeline is put on record there."""
    told = kernel.error_of(error)
    if told is None:
        log.exception("request %s (%s of MCP) failed", exchange.incoming.id, exchange.method, exc_info=error)
        return INTERNAL
    if not exchange.replies:
        refusal = MethodNotFound(told.message) if told.code == -32601 else InvalidParams(told.message)
        refused = await exchange.refuse(refusal)
        if refused is not refusal:
            told = kernel.error_of(exchange.error(refused)) or INTERNAL
    return told
