"""Requests of several rounds: only whoever was asked goes on, with the state that was given (mcp.md, R7)."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from django.contrib.auth.models import User
from mcp.server.request_state import InvalidRequestState
from pytest_django import Settings

from erlmcp_site.methods.tools import registry
from erlmcp_site.transports.http.incoming import Incoming
from erlmcp_site.transports.mcp.exchange import LEVELS, Exchange
from erlmcp_site.transports.mcp.handlers.rounds import security
from tests.mcp.door.asking import VERSION, Answered, message, post, token_of
from tests.mcp.fixture_app.rounds import ROUNDS
from tests.mcp.fixture_app.tools import TOOLS

META = "io.modelcontextprotocol/"
STATEFUL = "test_input_required_result_request_state"
CONFIRMED = {"confirm": {"action": "accept", "content": {"ok": True}}}
EVERYTHING: dict[str, Any] = {"sampling": {}, "elicitation": {}, "roots": {}}


@pytest.fixture(autouse=True)
def fixture_tools(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The tools of the conformance suite."""
    for tool in (*TOOLS, *ROUNDS):
        monkeypatch.setitem(registry.TOOLS, tool.name, tool)
    yield


async def call(token: str, tool: str, *, arguments: Any = None, meta: Any = None, **more: Any) -> Answered:
    """The answer to a tool call; `more` are parameters beside the tool's own."""
    params = {"name": tool, "arguments": arguments or {}, **more}
    return await post(message("tools/call", params, **{f"{META}clientCapabilities": EVERYTHING, **(meta or {})}), token)


async def state_of(token: str, tool: str = STATEFUL, **more: Any) -> str:
    """The state that a first round gives the client."""
    asked = (await call(token, tool, **more)).said["result"]
    assert asked["resultType"] == "input_required", asked
    state: str = asked["requestState"]
    return state


async def test_the_client_is_asked_and_goes_on_with_its_answer(token: str) -> None:
    state = await state_of(token)
    assert "waiting" not in state
    done = (await call(token, STATEFUL, inputResponses=CONFIRMED, requestState=state)).said["result"]
    assert (done["resultType"], done["content"][0]["text"]) == ("complete", "state-ok")


async def test_a_state_that_was_not_given_for_this_is_refused(token: str, running: dict[str, User]) -> None:
    state, bobs = await state_of(token), await token_of("bob")
    half = len(state) // 2
    flipped = state[:half] + ("A" if state[half] != "A" else "B") + state[half + 1 :]
    for tool, by, shown, arguments in [
        (STATEFUL, token, flipped, {}),
        (STATEFUL, token, state + "-TAMPERED", {}),
        (STATEFUL, token, state[:half], {}),
        (STATEFUL, token, "v1.", {}),
        (STATEFUL, token, "", {}),
        (STATEFUL, token, state, {"other": "arguments"}),
        (STATEFUL, bobs, state, {}),
        ("test_input_required_result_tampered_state", token, state, {}),
    ]:
        answer = await call(by, tool, arguments=arguments, inputResponses=CONFIRMED, requestState=shown)
        assert answer.code == -32602, (tool, shown, answer.body)
        assert "waiting" not in answer.body.decode()


async def test_a_state_is_good_for_ten_minutes(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    await state_of(token)
    for age, code in ((590, None), (610, -32602)):
        with monkeypatch.context() as past:
            then = time.time() - age
            past.setattr("mcp.server.request_state.time.time", lambda then=then: then)
            state = await state_of(token)
        said = (await call(token, STATEFUL, inputResponses=CONFIRMED, requestState=state)).said
        assert said.get("error", {}).get("code") == code


def test_every_process_with_the_same_secret_opens_a_state(settings: Settings) -> None:
    sealed = security().codec.seal(b"of another process")
    assert security().codec.unseal(sealed) == b"of another process"
    settings.SECRET_KEY = "of another system, long enough to be one"
    with pytest.raises(InvalidRequestState):
        security().codec.unseal(sealed)


@pytest.mark.parametrize(
    "answers", [12345, "text", [], {"user_name": 12345}, {"user_name": "Alice"}, {"user_name": None}]
)
async def test_answers_that_are_none_are_refused(token: str, answers: Any) -> None:
    refused = await call(token, "test_input_required_result_elicitation", inputResponses=answers)
    assert (refused.code, refused.status) == (-32602, 400)


@pytest.mark.parametrize("answers", [None, {}, {"another": {"action": "accept", "content": {}}}])
async def test_who_leaves_out_the_answer_is_asked_again(token: str, answers: Any) -> None:
    asked = (await call(token, "test_input_required_result_elicitation", inputResponses=answers)).said["result"]
    assert list(asked["inputRequests"]) == ["user_name"]


async def test_only_what_the_client_can_do_is_asked_of_it(token: str) -> None:
    for able in EVERYTHING:
        meta: dict[str, Any] = {f"{META}clientCapabilities": {able: {}}}
        asked = (await call(token, "test_input_required_result_capabilities", meta=meta)).said["result"]
        assert len(asked["inputRequests"]) == 1 and able in asked["inputRequests"]


async def test_who_lacks_what_a_tool_takes_is_told_what(token: str) -> None:
    answer = await call(token, "test_missing_capability", meta={f"{META}clientCapabilities": {"elicitation": {}}})
    assert (answer.status, answer.code) == (400, -32021)
    assert answer.said["error"]["data"] == {"requiredCapabilities": {"sampling": {}}}


async def test_nobody_is_asked_in_the_middle_of_a_request_of_this_era(token: str) -> None:
    answer = await call(token, "test_sampling", arguments={"prompt": "Who is there?"})
    assert (answer.status, answer.code) == (400, -32600)


class Heard:
    """The stream of an answer, as whoever sends it sees it."""

    can_request = False

    def __init__(self) -> None:
        self.told: list[Any] = []

    async def notify(self, method: str, params: Mapping[str, Any]) -> None:
        assert method == "notifications/message"
        self.told.append((params["level"], params["data"]))

    async def request(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        raise AssertionError(f"nobody asks a client {method} here")

    async def close(self) -> None:
        pass


@pytest.mark.parametrize("wanted", [None, *LEVELS])
@pytest.mark.parametrize("version", [VERSION, "2025-11-25"])
async def test_logs_go_to_whoever_wants_to_hear_of_their_level(wanted: str | None, version: str) -> None:
    """Which a request of this era says itself, and a session of the other one for all of its requests."""
    meta: dict[str, Any] = {f"{META}logLevel": wanted} if version == VERSION else {}
    incoming = Incoming({"method": "POST", "path": "/mcp", "query_string": b"", "headers": []})
    heard = Heard()
    exchange = Exchange(incoming=incoming, id=1, version=version, meta=meta, channel=heard)
    exchange.log_level = wanted if version != VERSION else "debug"
    for level in LEVELS:
        await exchange.log(level, {"level": level})
    assert heard.told == [(level, {"level": level}) for level in LEVELS[LEVELS.index(wanted) if wanted else 8 :]]
