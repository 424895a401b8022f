"""Prompts of MCP, and completion of what they and templates take (docs/prompts.md)."""

from collections.abc import Mapping
from typing import Any, Final

from mcp.server.context import ServerRequestContext
from mcp_types import CompleteRequestParams, GetPromptRequestParams, PaginatedRequestParams

from audit_app.errors import Refusal
from erlmcp_site.transports.mcp.eras import MODERN
from erlmcp_site.transports.mcp.exchange import Exchange
from erlmcp_site.transports.mcp.handlers.resources import described, exchange_of, page_asked, page_of, told
from erlmcp_site.transports.mcp.kernel import server

Context = ServerRequestContext[None, Exchange]

MISSING: Final = "arguments"
"""The key under which a client is asked for arguments that it has not given."""


async def list_prompts(context: Context, params: PaginatedRequestParams) -> dict[str, Any]:
    found = await exchange_of(context).ask("prompts/list", page_asked(params))
    prompts = [told(name=one["name"], **described(one), arguments=one["arguments"]) for one in found["prompts"]]
    return page_of("prompts", prompts, found)


async def get_prompt(context: Context, params: GetPromptRequestParams) -> dict[str, Any]:
    """The filled prompt; or what is missing, of a client that can ask its user for it."""
    exchange = exchange_of(context)
    arguments = {**(params.arguments or {}), **_answered(exchange)}
    reply = await exchange.reply("prompts/get", {"name": params.name, "arguments": arguments})
    if reply.refusal is not None:
        missing = _missing(reply.refusal)
        if not missing or exchange.version not in MODERN or exchange.capabilities.get("elicitation") is None:
            raise exchange.error(reply.refusal)
        return {"resultType": "input_required", "inputRequests": {MISSING: _question(params.name, missing)}}
    found = reply.result
    return {"resultType": "complete", **told(description=found["description"]), "messages": found["messages"]}


async def complete(context: Context, params: CompleteRequestParams) -> dict[str, Any]:
    asked = {"ref": params.ref.model_dump(exclude_none=True), "argument": params.argument.model_dump()}
    if params.context is not None:
        asked["context"] = {"arguments": params.context.arguments or {}}
    found = await exchange_of(context).ask("completion/complete", asked)
    total = {"total": found["total"]} if "total" in found else {}
    completion = {"values": found["values"], "hasMore": found["has_more"], **total}
    return {"resultType": "complete", "completion": completion}


def _answered(exchange: Exchange) -> dict[str, str]:
    """The arguments that the user has given, when asked for them."""
    answer = exchange.answers.get(MISSING)
    if not isinstance(answer, Mapping) or answer.get("action") != "accept":
        return {}
    content = answer.get("content")
    return {name: str(value) for name, value in content.items()} if isinstance(content, Mapping) else {}


def _missing(refusal: Refusal) -> list[Mapping[str, Any]]:
    missing: list[Mapping[str, Any]] = refusal.data.get("missing", [])
    return missing


def _question(name: str, missing: list[Mapping[str, Any]]) -> dict[str, Any]:
    """What the user is asked: a form with a field for each argument."""
    fields = {
        one["name"]: told(type="string", title=one.get("title", ""), description=one.get("description", ""))
        for one in missing
    }
    schema = {"type": "object", "properties": fields, "required": list(fields)}
    params = {"message": f"What the prompt {name} still needs:", "requestedSchema": schema}
    return {"method": "elicitation/create", "params": params}


def register() -> None:
    server.add_request_handler("prompts/list", PaginatedRequestParams, list_prompts)
    server.add_request_handler("prompts/get", GetPromptRequestParams, get_prompt)
    server.add_request_handler("completion/complete", CompleteRequestParams, complete)
