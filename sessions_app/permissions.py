"""Permissions of methods, and the roles that have them: groups (contract §1).

A permission of the contract ("resources:read") is a Django permission, so it is granted in the admin like any other.
"""

from typing import Any

from django.apps import apps
from django.contrib.auth.management import create_permissions
from django.db import router

DJANGO_NAMES = {
    "resources:read": "resources_app.read",
    "resources:write": "resources_app.write",
    "resources:delete": "resources_app.delete",
    "resources:subscribe": "resources_app.subscribe",
    "sessions:admin": "sessions_app.administer_sessions",
    "access:admin": "sessions_app.administer_access",
    "audit:read": "sessions_app.read_audit",
    "telemetry:read": "sessions_app.read_telemetry",
}
ALL = frozenset(DJANGO_NAMES)

VIEWER = frozenset({"resources:read", "resources:subscribe"})
USER = VIEWER | {"resources:write", "resources:delete"}
DEVELOPER = USER | {"telemetry:read"}
ROLES = {"admin": ALL, "developer": DEVELOPER, "user": USER, "viewer": VIEWER}
"""The groups that every database begins with; each has what the next one has."""


def ensure_groups(using: str, **_: Any) -> None:
    """Make the groups that do not exist, with their permissions; those that exist stay as their operators want them.

    Django calls it after every migration, with the database's alias.
    """
    group_model = apps.get_model("auth", "Group")
    if not router.allow_migrate_model(using, group_model):
        return
    for name, permissions in ROLES.items():
        group, is_new = group_model.objects.using(using).get_or_create(name=name)
        if is_new:
            group.permissions.set(_django_permissions(permissions, using))


def _django_permissions(names: frozenset[str], using: str) -> list[Any]:
    permissions = apps.get_model("auth", "Permission").objects.using(using)
    found = []
    for name in sorted(names):
        app_label, _, codename = DJANGO_NAMES[name].partition(".")
        create_permissions(apps.get_app_config(app_label), verbosity=0, using=using)
        found.append(permissions.get(content_type__app_label=app_label, codename=codename))
    return found
