"""Requests as a transport would decode them, straight into the pipeline."""

import itertools
import time
from typing import Any

import orjson

from audit_app.database import in_database
from erlmcp_site.methods.catalogue import pipeline
from erlmcp_site.pipeline.messages import Credentials, Reply, Request
from tests.sessions.conftest import PASSWORD
from tests.stack.outbox import entries

URI = "resource://example.com/a"

_numbers = itertools.count()


async def ask(method: str, params: Any = None, token: str | None = None, **fields: Any) -> Reply:
    return await pipeline.run(
        Request(
            id=f"request-{next(_numbers)}",
            method=method,
            params={} if params is None else params,
            transport="rest",
            timestamp=time.time(),
            credentials=Credentials(token=token) if token else None,
            **{"source_ip": f"192.0.2.{next(_numbers) % 250}", **fields},
        )
    )


async def token_of(name: str) -> str:
    reply = await ask("auth/login", {"username": name, "password": PASSWORD})
    return str(body(reply)["access"])


def body(reply: Reply) -> Any:
    """The result as it goes over the wire; fails when the request was refused."""
    assert reply.refusal is None, reply.refusal
    return orjson.loads(orjson.dumps(reply.result))


def code(reply: Reply) -> str | None:
    return reply.refusal.code if reply.refusal else None


async def entries_of(reply: Reply) -> list[dict[str, Any]]:
    """The audit entries that a request has left."""
    return [entry for entry in await in_database(entries) if entry.get("request_id") == reply.request_id]
