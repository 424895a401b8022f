"""Who is calling, as the pipeline knows it."""

from dataclasses import dataclass

from sessions_app.scopes import Scopes


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """An authenticated user with what the token allows.

    `permissions` are names like "resources:read", what the user may and the scopes leave; `scopes` are those of the
    token, None when it is not narrowed, and `granted` is what the user may whatever they leave. `audiences` are whom
    the token of an outside issuer is for, None for one of our own, which is good for everything here. `principals` are
    whom access rules know the user by ("user:7", "group:2", "everyone"). `family` is the token family, for an API key
    its id ("" for the Django admin); `expires_at` is Unix time in seconds. A caller that shows an API key `is_machine`.
    """

    user_id: str
    name: str
    permissions: frozenset[str]
    principals: frozenset[str]
    is_superuser: bool = False
    family: str
    expires_at: float
    scopes: Scopes = None
    granted: frozenset[str] = frozenset()
    audiences: frozenset[str] | None = None
    is_machine: bool = False

    def may(self, permission: str) -> bool:
        return permission in self.permissions
