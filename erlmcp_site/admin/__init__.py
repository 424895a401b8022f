"""The pages of Django's admin: looking at what is stored, and changing it by the same methods as everybody else."""

from erlmcp_site.admin import (
    access,
    accounts,
    audit,
    events,
    factors,
    keys,
    login,
    resources,
    sessions,
    sinks,
    subscriptions,
)

__all__ = [
    "access",
    "accounts",
    "audit",
    "events",
    "factors",
    "keys",
    "login",
    "resources",
    "sessions",
    "sinks",
    "subscriptions",
]
