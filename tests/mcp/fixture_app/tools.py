"""The tools that the suite calls, as its scenarios describe them; those of several rounds are in `rounds`."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from erlmcp_site.methods.tools.registry import Tool, ToolFailure
from erlmcp_site.transports.mcp.exchange import Exchange
from tests.mcp.fixture_app.forms import DEFAULTS, ENUMS, JSON_SCHEMA, USER
from tests.mcp.fixture_app.making import Result, says, tool
from tests.mcp.fixture_app.media import AUDIO, IMAGE
from tests.mcp.fixture_app.stored import prompt

STEP_SECONDS = 0.02
"""Long enough that what is said on the way goes out on its own."""

OVERRIDES: Final = "resource://erlmcp/tools/"
CHANGED: Final = "test_simple_text"

Arguments = Mapping[str, Any]


async def test_simple_text(exchange: Exchange, arguments: Arguments) -> Result:
    """Answers a text."""
    return says("This is a simple text response for testing.")


async def test_image_content(exchange: Exchange, arguments: Arguments) -> Result:
    """Answers a picture."""
    return says(IMAGE)


async def test_audio_content(exchange: Exchange, arguments: Arguments) -> Result:
    """Answers a sound."""
    return says(AUDIO)


async def test_embedded_resource(exchange: Exchange, arguments: Arguments) -> Result:
    """Answers a resource."""
    return says(embedded("test://embedded-resource", "text/plain", "This is an embedded resource content."))


async def test_multiple_content_types(exchange: Exchange, arguments: Arguments) -> Result:
    """Answers a text, a picture and a resource."""
    resource = embedded("test://mixed-content-resource", "application/json", '{"test":"data","value":123}')
    return says("Multiple content types test:", IMAGE, resource)


async def test_error_handling(exchange: Exchange, arguments: Arguments) -> Result:
    """Always fails."""
    raise ToolFailure("This tool intentionally returns an error for testing")


async def test_tool_with_progress(exchange: Exchange, arguments: Arguments) -> Result:
    """Tells how far it has got."""
    for progress in (0, 50, 100):
        await exchange.progress(progress, 100, f"Completed step {progress} of 100")
        await asyncio.sleep(STEP_SECONDS)
    return says("Progress complete.")


async def test_tool_with_logging(exchange: Exchange, arguments: Arguments) -> Result:
    """Tells what it does."""
    for said in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await exchange.log("info", said)
        await asyncio.sleep(STEP_SECONDS)
    return says("Logging complete.")


async def test_logging_tool(exchange: Exchange, arguments: Arguments) -> Result:
    """Tells what it does to whoever asked for that."""
    await exchange.log("info", "Said only to those who want to hear it")
    return says("Done.")


async def test_missing_capability(exchange: Exchange, arguments: Arguments) -> Result:
    """Works for clients only that can ask a model."""
    exchange.require("sampling")
    return says("The client can ask a model.")


async def test_sampling(exchange: Exchange, arguments: Arguments) -> Result:
    """Has the client ask its model."""
    question = {"role": "user", "content": {"type": "text", "text": arguments["prompt"]}}
    answer = await exchange.ask_client("sampling/createMessage", {"messages": [question], "maxTokens": 100})
    return says(f"LLM response: {answer['content']['text']}")


async def test_elicitation(exchange: Exchange, arguments: Arguments) -> Result:
    """Has the client ask its user."""
    return await asked(exchange, "User response", arguments["message"], USER)


async def test_elicitation_sep1034_defaults(exchange: Exchange, arguments: Arguments) -> Result:
    """Asks with a form that has defaults."""
    return await asked(exchange, "Elicitation completed", "Please check and update the values", DEFAULTS)


async def test_elicitation_sep1330_enums(exchange: Exchange, arguments: Arguments) -> Result:
    """Asks with a form that has choices of all kinds."""
    return await asked(exchange, "Elicitation completed", "Please choose", ENUMS)


async def test_reconnection(exchange: Exchange, arguments: Arguments) -> Result:
    """Ends the stream of its answer before there is one; whoever comes back for it gets it."""
    if exchange.channel is not None:
        await exchange.channel.close()
    await asyncio.sleep(STEP_SECONDS)
    return says("Reconnection test completed successfully")


async def test_trigger_tool_change(exchange: Exchange, arguments: Arguments) -> Result:
    """Makes a change to the list of tools."""
    await exchange.ask("resources/write", {"uri": OVERRIDES + CHANGED, "content": {"enabled": True}})
    return says("The tools have changed.")


async def test_trigger_prompt_change(exchange: Exchange, arguments: Arguments) -> Result:
    """Makes a change to the list of prompts."""
    await exchange.ask("resources/write", prompt("test_changing_prompt"))
    return says("The prompts have changed.")


async def json_schema_2020_12_tool(exchange: Exchange, arguments: Arguments) -> Result:
    """Takes what only JSON Schema 2020-12 describes."""
    return says(f"Called with {sorted(arguments)}.")


async def test_x_mcp_header(exchange: Exchange, arguments: Arguments) -> Result:
    """Takes an argument that stands in a header, too."""
    return says(f"Called for {arguments.get('region', 'nowhere')}.")


async def asked(exchange: Exchange, says_first: str, message: str, form: Mapping[str, Any]) -> Result:
    """A result with what the client's user answers to a form."""
    answer = await exchange.ask_client("elicitation/create", {"message": message, "requestedSchema": form})
    return says(f"{says_first}: action={answer['action']}, content={answer.get('content', {})}")


def embedded(uri: str, mime_type: str, content: str) -> Mapping[str, Any]:
    return {"type": "resource", "resource": {"uri": uri, "mimeType": mime_type, "text": content}}


def taking(**properties: Any) -> Mapping[str, Any]:
    return {"type": "object", "properties": properties, "required": sorted(properties)}


TOOLS: Final[list[Tool]] = [
    tool(test_simple_text),
    tool(test_image_content),
    tool(test_audio_content),
    tool(test_embedded_resource),
    tool(test_multiple_content_types),
    tool(test_error_handling),
    tool(test_tool_with_progress),
    tool(test_tool_with_logging),
    tool(test_logging_tool),
    tool(test_missing_capability),
    tool(test_sampling, taking(prompt={"type": "string", "description": "What the model is asked"})),
    tool(test_elicitation, taking(message={"type": "string", "description": "What the user is shown"})),
    tool(test_elicitation_sep1034_defaults),
    tool(test_elicitation_sep1330_enums),
    tool(test_reconnection),
    tool(test_trigger_tool_change),
    tool(test_trigger_prompt_change),
    tool(json_schema_2020_12_tool, JSON_SCHEMA),
    tool(test_x_mcp_header, {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}),
]
