"""The demo shows newcomers what agents can be told."""

import asyncio

import orjson
import pytest

from erlmcp_site.demo.loading import load_demo, remove_demo
from resources_app.hub.hub import hub
from resources_app.prompts import prompts
from resources_app.templates import collections
from tests.pipeline.calls import ask, body, code, token_of
from tests.pipeline.test_search import found
from tests.stack.waiting import eventually

pytestmark = pytest.mark.usefixtures("running")


async def test_the_demo_has_a_prompt_and_collections_that_work_and_go_with_it() -> None:
    bob = await token_of("bob")
    loaded = await asyncio.to_thread(load_demo)
    await eventually(lambda: hub.position >= loaded, 30, "the demo is seen")
    assert (await prompts.find()).malformed == (await collections.find()).malformed == {}
    (prompt,) = body(await ask("prompts/list", {}, bob))["prompts"]
    templates = body(await ask("resources/templates", {}, bob))["templates"]
    assert {one["name"] for one in templates} == {"demo-stations", "demo-departures", "demo-weather"}
    ref, argument = {"type": "ref/prompt", "name": prompt["name"]}, {"name": "city", "value": "hel"}
    assert body(await ask("completion/complete", {"ref": ref, "argument": argument}, bob))["values"] == ["helsinki"]
    arguments = {"city": "helsinki", "to": "riga", "style": "briefly"}
    filled = body(await ask("prompts/get", {"name": prompt["name"], "arguments": arguments}, bob))["messages"]
    assert filled[0]["content"]["text"].startswith("Plan a train journey from helsinki. Destination: riga.")
    assert orjson.loads(filled[1]["content"]["resource"]["text"])["station"] == "helsinki"
    assert orjson.loads(filled[2]["content"]["resource"]["text"])["city"] == "helsinki"
    nowhere = await ask("prompts/get", {"name": prompt["name"], "arguments": {"city": "atlantis"}}, bob)
    assert code(nowhere) == "resource_not_found"
    assert await found(bob, prefix="resource://demo.local/stations/", path="$.departures[?@.delay_minutes > 5]")
    assert await asyncio.to_thread(remove_demo) == loaded
    await eventually(lambda: hub.position >= 2 * loaded, 30, "the removal is seen")
    assert body(await ask("prompts/list", {}, bob))["prompts"] == []
