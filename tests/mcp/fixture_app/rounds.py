"""The tools of the suite that ask the client first, and are called again with what it answers (2026-07-28)."""

from collections.abc import Mapping
from typing import Any, Final

from erlmcp_site.methods.tools.registry import Tool, ToolFailure
from erlmcp_site.transports.mcp.exchange import Exchange
from tests.mcp.fixture_app.forms import form
from tests.mcp.fixture_app.making import Result, says, tool

Arguments = Mapping[str, Any]


def elicitation(message: str, field: str, type: str = "string") -> Mapping[str, Any]:
    """A request to ask the user for one field."""
    params = {"message": message, "requestedSchema": form(**{field: {"type": type}})}
    return {"method": "elicitation/create", "params": params}


def sampling(question: str, most: int) -> Mapping[str, Any]:
    """A request to ask the model."""
    messages = [{"role": "user", "content": {"type": "text", "text": question}}]
    return {"method": "sampling/createMessage", "params": {"messages": messages, "maxTokens": most}}


ROOTS: Final[Mapping[str, Any]] = {"method": "roots/list", "params": {}}
NAME: Final = elicitation("What is your name?", "name")
CONFIRM: Final = elicitation("Please confirm", "ok", "boolean")


def wants(requests: Mapping[str, Any], state: str | None = None) -> Result:
    """A result that asks the client for more, with a state for it to bring back."""
    result = {"resultType": "input_required", "inputRequests": requests}
    return result if state is None else {**result, "requestState": state}


async def test_input_required_result_elicitation(exchange: Exchange, arguments: Arguments) -> Result:
    """Greets the user by name."""
    answer = exchange.answers.get("user_name")
    if answer is None:
        return wants({"user_name": NAME})
    return says(f"Hello, {answer['content']['name']}!")


async def test_input_required_result_sampling(exchange: Exchange, arguments: Arguments) -> Result:
    """Answers what the model does."""
    answer = exchange.answers.get("capital_question")
    if answer is None:
        return wants({"capital_question": sampling("What is the capital of France?", 100)})
    return says(answer["content"]["text"])


async def test_input_required_result_list_roots(exchange: Exchange, arguments: Arguments) -> Result:
    """Answers what the client's roots are."""
    answer = exchange.answers.get("client_roots")
    if answer is None:
        return wants({"client_roots": ROOTS})
    return says(", ".join(root["uri"] for root in answer["roots"]))


async def test_input_required_result_request_state(exchange: Exchange, arguments: Arguments) -> Result:
    """Keeps a state with the client for one round."""
    if "confirm" not in exchange.answers:
        return wants({"confirm": CONFIRM}, "waiting")
    return says("state-ok" if exchange.state == "waiting" else "The state is lost.")


async def test_input_required_result_multiple_inputs(exchange: Exchange, arguments: Arguments) -> Result:
    """Asks for several things at once."""
    requests = {"user_name": NAME, "greeting": sampling("Generate a greeting", 50), "client_roots": ROOTS}
    if not requests.keys() <= exchange.answers.keys():
        return wants(requests, "all")
    return says(f"All given for {exchange.answers['user_name']['content']['name']}.")


async def test_input_required_result_multi_round(exchange: Exchange, arguments: Arguments) -> Result:
    """Asks one thing after the other."""
    if exchange.state is None or ("step1" not in exchange.answers and exchange.state == "1"):
        return wants({"step1": elicitation("Step 1: What is your name?", "name")}, "1")
    if exchange.state == "1":
        return wants({"step2": elicitation("Step 2: What is your favorite color?", "color")}, "2")
    return says(f"Your favorite color is {exchange.answers['step2']['content']['color']}.")


async def test_input_required_result_tampered_state(exchange: Exchange, arguments: Arguments) -> Result:
    """Takes no state but its own."""
    if exchange.state is None:
        return wants({"confirm": CONFIRM}, "untouched")
    return says("The state is as it was.")


async def test_input_required_result_capabilities(exchange: Exchange, arguments: Arguments) -> Result:
    """Asks for what the client can do only."""
    possible = {"sampling": sampling("What is the capital of France?", 100), "elicitation": NAME, "roots": ROOTS}
    return wants({name: request for name, request in possible.items() if name in exchange.capabilities})


async def test_streaming_elicitation(exchange: Exchange, arguments: Arguments) -> Result:
    """Tells how far it is, and asks in its result, never on the stream."""
    await exchange.progress(1, 2)
    if "user_name" not in exchange.answers:
        return wants({"user_name": NAME})
    raise ToolFailure("This tool only asks.")


ROUNDS: Final[list[Tool]] = [
    tool(test_input_required_result_elicitation),
    tool(test_input_required_result_sampling),
    tool(test_input_required_result_list_roots),
    tool(test_input_required_result_request_state),
    tool(test_input_required_result_multiple_inputs),
    tool(test_input_required_result_multi_round),
    tool(test_input_required_result_tampered_state),
    tool(test_input_required_result_capabilities),
    tool(test_streaming_elicitation),
]
