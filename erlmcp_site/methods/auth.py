"""Logging in, refreshing and revoking tokens (contract §2, §7)."""

from dataclasses import asdict
from typing import Any

from erlmcp_site.methods.table import Method, register
from erlmcp_site.pipeline.passage import Passage
from sessions_app import actions, serializers
from sessions_app.limits import login_attempt


async def login(passage: Passage) -> Any:
    params = passage.params
    async with login_attempt(passage.request.source_ip):
        return asdict(await actions.log_in(params["username"], params["password"], passage.entry))


async def refresh(passage: Passage) -> Any:
    return asdict(await actions.refresh(passage.params["refresh"], passage.entry))


async def revoke(passage: Passage) -> Any:
    await actions.revoke(passage.params["refresh"], passage.entry)
    return {}


register(
    Method(
        name="auth/login",
        run=login,
        params=serializers.LoginParams(),
        public=True,
        resource_type="user",
        resource="username",
    ),
    Method(name="auth/refresh", run=refresh, params=serializers.RefreshParams(), public=True, resource_type="family"),
    Method(name="auth/revoke", run=revoke, params=serializers.RefreshParams(), public=True, resource_type="family"),
)
