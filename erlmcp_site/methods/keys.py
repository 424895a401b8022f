"""The methods on API keys: one's own, and everybody's for an administrator of access (contract §2)."""

from functools import partial
from typing import Any

from audit_app.database import in_database
from audit_app.trail import Entry
from erlmcp_site.methods.paging import cursor_of, page
from erlmcp_site.methods.table import Method, register
from erlmcp_site.pipeline.messages import Effect, done
from erlmcp_site.pipeline.passage import Passage
from resources_app.serializers import PageParams
from sessions_app import serializers
from sessions_app.actions.keys import create_key, revoke_key
from sessions_app.api_keys import described
from sessions_app.models import ApiKey
from sessions_app.queries import list_keys

ADMIN = "access:admin"


async def create(passage: Passage) -> Any:
    """The new key with its text, which a repeat under the same idempotency key is not told again."""
    caller, params = passage.known_caller, passage.params
    effect = partial(_created, caller.name)

    def entry(id: str) -> Entry:
        passage.resource_id = id
        return passage.entry(effect)

    row, text = await create_key(
        caller, label=params["label"], scopes=params.get("scope"), expires_in=params["expires_in"], entry=entry
    )
    return passage.take(effect(row)) | {"key": text}


def _created(user: str, row: ApiKey) -> Effect:
    return Effect(result=described(row, user), created=True)


async def list_(passage: Passage) -> Any:
    limit = passage.params["limit"]
    found = await in_database(list_keys, passage.whose(ADMIN), cursor_of(passage.params), limit + 1)
    shown = [described(row, row.user.get_username()) for row in found]
    return page("keys", shown, limit, lambda index: found[index].id)


async def revoke(passage: Passage) -> Any:
    caller, entry = passage.known_caller, partial(passage.entry, done)
    await revoke_key(caller, passage.params["id"], passage.whose(ADMIN), entry)
    return passage.take(done(None))


register(
    Method(name="keys/create", run=create, params=serializers.NewKeyParams(), needs=None, resource_type="api key"),
    Method(
        name="keys/list",
        run=list_,
        params=PageParams(),
        needs=None,
        reads=True,
        resource_type="api key",
    ),
    Method(
        name="keys/revoke",
        run=revoke,
        params=serializers.KeyParams(),
        needs=None,
        resource_type="api key",
        resource="id",
    ),
)
