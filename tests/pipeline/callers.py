"""Callers whom rules of access are granted to and revoked from."""

from typing import Any

from erlmcp_site.pipeline.messages import Reply
from tests.pipeline.calls import ask, body, code

HERE = "resource://example.com/here"
HIDDEN = f"{HERE}/hidden"


class Callers:
    """Tokens of everybody, and a short way to grant by root."""

    def __init__(self, tokens: dict[str, str]) -> None:
        self.tokens = tokens

    async def ask(self, user: str, method: str, /, **params: Any) -> Reply:
        return await ask(method, params, self.tokens[user])

    async def code(self, user: str, method: str, /, **params: Any) -> str | None:
        return code(await self.ask(user, method, **params))

    async def grant(self, pattern: str, verbs: str, effect: str = "allow", by: str = "root", **whom: Any) -> str:
        """Grant to `new`, or to whom it says. Returns the rule's id."""
        params = {"pattern": pattern, "verbs": verbs.split(), "effect": effect} | (whom or {"user": "new"})
        return str(body(await self.ask(by, "access/grant", **params))["id"])

    async def revoke(self, rule: str, by: str = "root") -> None:
        body(await self.ask(by, "access/revoke", rule=rule))
