"""What a batch leaves beside content is encrypted part by part: each resource's goes with its own key, and no other."""

import base64
from typing import Any

import orjson
import pytest
from django.contrib.auth.models import User

from audit_app.database import in_database
from encryption_app.data_keys import data_keys
from encryption_app.envelope import key_of
from encryption_app.errors import ContentDestroyed
from encryption_app.models import DataKey
from resources_app.sealed import opened_body
from resources_app.sealed_entries import place_of_details
from resources_app.shredding import destroy_content
from tests.encryption.conftest import CANARY, OTHER, PLAIN, URI, start_over
from tests.pipeline.calls import ask, body, code, entries_of, token_of
from tests.sessions.conftest import entry

URIS = (URI, PLAIN, OTHER, URI)


def batch_of(*writes: dict[str, Any]) -> dict[str, Any]:
    return {"operations": [{"method": "resources/write", "params": params} for params in writes]}


async def opened_part(entry: dict[str, Any], place: int, part: dict[str, Any]) -> Any:
    """What a part of an entry's details says, to whoever has the keys."""
    kept = base64.b64decode(part["sealed"])

    async def work() -> bytes:
        return opened_body(kept, key_of(kept), place_of_details(entry["id"], place))

    return orjson.loads(await data_keys.opening(work))


async def written(token: str, **metadata: Any) -> Any:
    return await ask("resources/batch", batch_of(*({"uri": uri, "content": 1} for uri in URIS)), token, **metadata)


async def test_each_part_of_the_details_is_under_the_key_of_its_resource(running: dict[str, User]) -> None:
    (left,) = await entries_of(await written(await token_of("alice")))
    subjects = dict(await in_database(lambda: list(DataKey.objects.values_list("id", "subject"))))
    parts = left["details"]["changes"]
    assert [part["uri"] for part in parts] == list(URIS)
    assert parts[1] == {"uri": PLAIN, "change": "created", "version": 1}
    for place, version in ((0, 1), (2, 1), (3, 2)):
        assert parts[place].keys() == {"uri", "sealed"}
        assert subjects[key_of(base64.b64decode(parts[place]["sealed"]))] == URIS[place]
        told = await opened_part(left, place, parts[place])
        assert (told["uri"], told["version"]) == (URIS[place], version)


@pytest.mark.parametrize("shredded", [URI, OTHER])
async def test_shredding_one_of_two_destroys_its_part_and_leaves_the_other(
    running: dict[str, User], shredded: str
) -> None:
    (left,) = await entries_of(await written(await token_of("alice")))
    await destroy_content(shredded, entry())
    start_over()
    for place, part in enumerate(left["details"]["changes"]):
        if URIS[place] == shredded:
            with pytest.raises(ContentDestroyed):
                await opened_part(left, place, part)
        elif URIS[place] != PLAIN:
            assert (await opened_part(left, place, part))["uri"] == URIS[place]


async def test_a_refusal_is_told_under_the_key_of_what_was_refused(running: dict[str, User]) -> None:
    token = await token_of("alice")
    for content in ({CANARY: 1}, {CANARY: 2}):
        body(await ask("resources/write", {"uri": OTHER, "content": content, "on_conflict": "merge"}, token))
    late = {"uri": OTHER, "content": {CANARY: 3}, "base_version": 1}
    reply = await ask("resources/batch", batch_of({"uri": URI, "content": 1}, late), token)
    assert code(reply) == "version_conflict"
    (left,) = await entries_of(reply)
    assert left["details"].keys() == {"operation", "sealed"}
    assert (await opened_part(left, 1, left["details"]))["conflicting_paths"] == [f"/{CANARY}"]
    await destroy_content(OTHER, entry())
    start_over()
    with pytest.raises(ContentDestroyed):
        await opened_part(left, 1, left["details"])


@pytest.mark.parametrize("shredded", [None, URI, OTHER])
async def test_a_kept_answer_is_gone_with_the_first_resource_that_is_destroyed(
    running: dict[str, User], shredded: str | None
) -> None:
    token = await token_of("alice")
    first = await written(token, metadata={"idempotency-key": "once"})
    if shredded is not None:
        await destroy_content(shredded, entry())
    start_over()
    again = await written(token, metadata={"idempotency-key": "once"})
    if shredded is None:
        assert (again.replayed, body(again)) == (True, body(first))
    else:
        assert (code(again), again.replayed) == ("resource_not_found", False)
