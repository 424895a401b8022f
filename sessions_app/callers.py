"""Who is calling, as the pipeline knows it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """An authenticated user with what the token allows.

    `permissions` are names like "resources:read"; `family` is the token family ("" for the Django admin);
    `expires_at` is Unix time in seconds.
    """

    user_id: str
    name: str
    permissions: frozenset[str]
    family: str
    expires_at: float

    def may(self, permission: str) -> bool:
        return permission in self.permissions
