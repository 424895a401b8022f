"""The methods on sessions (contract §2, §6)."""

from functools import partial
from typing import Any

from audit_app.database import in_database
from erlmcp_site.methods.paging import cursor_of, page
from erlmcp_site.methods.table import Method, register
from erlmcp_site.pipeline.messages import Effect, done
from erlmcp_site.pipeline.passage import Passage
from resources_app.serializers import PageParams
from sessions_app import serializers
from sessions_app.actions.sessions import create_session, move_session, update_session
from sessions_app.queries import find_session, list_sessions
from sessions_app.records import SessionRecord, described
from sessions_app.sealed import open_session, open_sessions
from sessions_app.states import Reason, State

ADMIN = "sessions:admin"


async def create(passage: Passage) -> Any:
    params = passage.params
    record = await create_session(
        passage.known_caller,
        backend=params["backend"],
        label=params["label"],
        client_id=params["client_id"] or passage.request.client_id,
        metadata=params["metadata"],
        entry=partial(passage.entry, _created),
        is_ready=params["state"] == State.ACTIVE,
    )
    return passage.take(_created(record))


def _created(record: SessionRecord) -> Effect:
    return Effect(result=described(record), created=True)


async def get(passage: Passage) -> Any:
    found = await in_database(find_session, passage.params["session"], passage.whose(ADMIN))
    return described(await open_session(found))


async def list_(passage: Passage) -> Any:
    limit = passage.params["limit"]
    kept = await in_database(list_sessions, passage.whose(ADMIN), cursor_of(passage.params), limit + 1)
    found = await open_sessions(kept)
    return page("sessions", [described(record) for record in found], limit, lambda index: found[index].id)


async def update(passage: Passage) -> Any:
    params = passage.params
    entry = partial(passage.entry, _changed)
    record = await update_session(
        params["session"],
        passage.whose(ADMIN),
        params.get("label"),
        params.get("metadata"),
        entry,
        is_ready=params.get("state") == State.ACTIVE,
    )
    return passage.take(_changed(record))


async def close(passage: Passage) -> Any:
    entry = partial(passage.entry, done)
    record = await move_session(passage.params["session"], passage.whose(ADMIN), State.TERMINATING, entry)
    return passage.take(done(record))


async def suspend(passage: Passage) -> Any:
    entry = partial(passage.entry, _changed)
    record = await move_session(passage.params["session"], None, State.SUSPENDED, entry, reason=Reason.ADMIN)
    return passage.take(_changed(record))


async def resume(passage: Passage) -> Any:
    entry = partial(passage.entry, _changed)
    return passage.take(_changed(await move_session(passage.params["session"], None, State.ACTIVE, entry)))


def _changed(record: SessionRecord) -> Effect:
    return Effect(result=described(record))


register(
    Method(name="sessions/create", run=create, params=serializers.CreateParams(), needs=None, resource_type="session"),
    Method(
        name="sessions/get",
        run=get,
        params=serializers.SessionParams(),
        needs=None,
        reads=True,
        resource_type="session",
        resource="session",
    ),
    Method(
        name="sessions/list",
        run=list_,
        params=PageParams(),
        needs=None,
        reads=True,
        resource_type="session",
    ),
    Method(
        name="sessions/update",
        run=update,
        params=serializers.UpdateParams(),
        needs=None,
        resource_type="session",
        resource="session",
    ),
    Method(
        name="sessions/close",
        run=close,
        params=serializers.SessionParams(),
        needs=None,
        resource_type="session",
        resource="session",
    ),
    *(
        Method(
            name=name,
            run=run,
            params=serializers.SessionParams(),
            needs=ADMIN,
            resource_type="session",
            resource="session",
        )
        for name, run in {"sessions/suspend": suspend, "sessions/resume": resume}.items()
    ),
)
