"""The trail is verified over every transport as on the machine itself (contract §2, §8)."""

from tests.contract.conftest import Client
from tests.stack.refusals import refuses
from tests.stack.waiting import PATIENCE, eventually


async def test_the_trail_is_verified(admin: Client) -> None:
    async def has_entries() -> bool:
        return bool((await admin.call("audit/list", limit=1))["entries"])

    await eventually(has_entries, PATIENCE, "entries in the trail")
    found = (await admin.call("audit/verify", until=1)).result
    assert found.keys() == {"ok", "first", "last", "entries", "checkpoints", "unsigned", "archived", "keys"}
    assert (found["ok"], found["first"], found["archived"]) == (True, 1, 0)
    assert found["entries"] == found["last"] >= 1
    again = (await admin.call("audit/verify", **{"from": 1, "until": found["last"]})).result
    assert (again["ok"], again["first"]) == (True, 1) and again["last"] >= found["last"]


async def test_a_part_that_ends_before_it_begins_is_refused(admin: Client) -> None:
    with refuses("invalid_params"):
        await admin.call("audit/verify", **{"from": 2, "until": 1})
