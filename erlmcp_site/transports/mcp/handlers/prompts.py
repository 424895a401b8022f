"""Prompts of MCP: listed, filled. A client whose user can be asked is asked for the arguments that are missing."""

from collections.abc import Mapping
from typing import Any, Final

import orjson
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, GetPromptRequestParams, PaginatedRequestParams

from audit_app.errors import Refusal
from erlmcp_site.transports.mcp.eras import MODERN
from erlmcp_site.transports.mcp.errors import NOT_FOUND
from erlmcp_site.transports.mcp.exchange import Exchange
from erlmcp_site.transports.mcp.handlers.resources import exchange_of, page_asked, page_of
from erlmcp_site.transports.mcp.kernel import server
from erlmcp_site.transports.wire import error_data

Context = ServerRequestContext[None, Exchange]

ASKED: Final = "arguments"
"""The key of the one request that asks for arguments."""


async def list_prompts(context: Context, params: PaginatedRequestParams) -> dict[str, Any]:
    found = await exchange_of(context).ask("prompts/list", page_asked(params))
    return page_of("prompts", [_described(prompt) for prompt in found["prompts"]], found)


async def get_prompt(context: Context, params: GetPromptRequestParams) -> dict[str, Any]:
    """The messages of a prompt, or in a round before that, what its arguments have to be asked for."""
    exchange = exchange_of(context)
    told = answered(exchange)
    given = {**told, **(params.arguments or {})}
    reply = await exchange.reply("prompts/get", {"name": params.name, "arguments": given})
    if reply.refusal is None:
        found = reply.result
        described = {"description": found["description"]} if found["description"] else {}
        return {"resultType": "complete", **described, "messages": found["messages"]}
    missing = reply.refusal.data.get("missing")
    if missing and may_ask(exchange):
        return {
            "resultType": "input_required",
            "inputRequests": {ASKED: asking(missing)},
            "requestState": orjson.dumps(told).decode(),
        }
    raise _error(exchange, reply.refusal)


def answered(exchange: Exchange) -> dict[str, str]:
    """The arguments that the user has given in earlier rounds."""
    told: dict[str, str] = orjson.loads(exchange.state) if exchange.state else {}
    answer = exchange.answers.get(ASKED, {})
    content = answer.get("content") if answer.get("action") == "accept" else None
    return {**told, **{name: value for name, value in (content or {}).items() if isinstance(value, str)}}


def may_ask(exchange: Exchange) -> bool:
    """Whether the client can ask its user, who has not said no."""
    refused = ASKED in exchange.answers and exchange.answers[ASKED].get("action") != "accept"
    return exchange.version in MODERN and "elicitation" in exchange.capabilities and not refused


def asking(missing: list[Mapping[str, Any]]) -> dict[str, Any]:
    """The request to ask the user for arguments, which say themselves what they are."""
    fields = {
        one["name"]: {"type": "string", **{key: one[key] for key in ("title", "description") if one.get(key)}}
        for one in missing
    }
    first = missing[0].get("description") or missing[0]["name"]
    message = first if len(missing) == 1 else f"The prompt takes {', '.join(fields)}."
    form = {"type": "object", "properties": fields, "required": list(fields)}
    return {"method": "elicitation/create", "params": {"mode": "form", "message": message, "requestedSchema": form}}


def _error(exchange: Exchange, refusal: Refusal) -> Exception:
    """To MCP a prompt that is not there is an argument that is wrong, in every revision."""
    if refusal.code == NOT_FOUND:
        return MCPError(INVALID_PARAMS, refusal.message, error_data(refusal, exchange.incoming.id))
    return exchange.error(refusal)


def _described(prompt: Mapping[str, Any]) -> dict[str, Any]:
    told = {name: prompt[name] for name in ("name", "title", "description") if prompt[name]}
    return {**told, "arguments": prompt["arguments"]}


def register() -> None:
    server.add_request_handler("prompts/list", PaginatedRequestParams, list_prompts)
    server.add_request_handler("prompts/get", GetPromptRequestParams, get_prompt)
