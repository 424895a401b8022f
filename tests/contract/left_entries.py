"""The entries that one client has left, who is known by its user agent."""

import itertools

from tests.stack.cluster import Cluster
from tests.stack.database import Entry
from tests.stack.waiting import eventually

_agents = itertools.count(1)


def next_agent() -> str:
    """A user agent that no other client of these tests has."""
    return f"entries/{next(_agents)}"


async def only_entry(stack: Cluster, agent: str, action: str, what: str, *, refused: bool = False) -> Entry:
    """The one entry of an action that a client has left; it left no other but of its login to a socket and its end."""
    await eventually(lambda: entries_of(stack, agent, action), 30, f"an entry of {what}")
    found = await entries_of(stack, agent, action)
    if refused:
        found = [entry for entry in found if entry["outcome"] != "success"]
    assert len(found) == 1, f"{what}: {found}"
    others = {entry["action"] for entry in stack.truth.entries_by(agent)} - {action, "auth/authenticate"}
    assert others <= {"events/end", "events/stream", "resources/subscribe", "resources/unsubscribe"}, (what, others)
    return found[0]


async def entries_of(stack: Cluster, agent: str, action: str) -> list[Entry]:
    entries = [entry for entry in stack.truth.entries_by(agent) if entry["action"] == action]
    if action == "auth/authenticate" and len(entries) == 2:
        # the first one opened the socket
        return [max(entries, key=lambda entry: entry["id"])]
    return entries
