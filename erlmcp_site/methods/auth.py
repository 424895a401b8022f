"""Logging in, refreshing and revoking tokens (contract §2, §7)."""

from dataclasses import asdict
from typing import Any

from erlmcp_site.methods.table import Method, register
from erlmcp_site.pipeline.passage import Passage
from sessions_app import serializers
from sessions_app.actions import tokens
from sessions_app.attempts import login_attempt


async def login(passage: Passage) -> Any:
    params = passage.params
    async with login_attempt(params["username"], passage.request.source_ip):
        return _told(
            await tokens.log_in(
                params["username"], params["password"], passage.entry, params.get("scope"), params["code"]
            )
        )


async def refresh(passage: Passage) -> Any:
    return _told(await tokens.refresh(passage.params["refresh"], passage.entry))


async def revoke(passage: Passage) -> Any:
    await tokens.revoke(passage.params["refresh"], passage.entry)
    return {}


def _told(pair: tokens.TokenPair) -> dict[str, Any]:
    """The pair as it is answered; tokens that are not narrowed have no scope to tell of (RFC 6749 §5.1)."""
    return {name: value for name, value in asdict(pair).items() if value is not None}


register(
    Method(
        name="auth/login",
        run=login,
        params=serializers.LoginParams(),
        needs=None,
        public=True,
        resource_type="user",
        resource="username",
    ),
    *(
        Method(
            name=name,
            run=run,
            params=serializers.RefreshParams(),
            needs=None,
            public=True,
            resource_type="family",
        )
        for name, run in {"auth/refresh": refresh, "auth/revoke": revoke}.items()
    ),
)
