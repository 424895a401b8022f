"""The groups of a database of before become the roles that have the same rights."""

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.db import connection

from sessions_app.permissions import DJANGO_NAMES, ROLES

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "audit"])


def permissions_of(group: str) -> set[str]:
    granted = Group.objects.get(name=group).permissions.values_list("content_type__app_label", "codename")
    names = {f"{app}.{codename}" for app, codename in granted}
    return {name for name, django_name in DJANGO_NAMES.items() if django_name in names}


def drop_roles(*names: str) -> None:
    """Groups without members, past the ORM, which would look for their rules in a table that is not there yet."""
    Group.permissions.through.objects.filter(group__name__in=names).delete()
    with connection.cursor() as cursor:
        for name in names:
            cursor.execute("DELETE FROM auth_group WHERE name = %s", [name])


def test_each_role_has_what_the_next_one_has() -> None:
    assert list(ROLES) == ["admin", "developer", "user", "viewer"]
    for higher, lower in zip(list(ROLES)[:-1], list(ROLES)[1:], strict=True):
        assert permissions_of(higher) > permissions_of(lower)
    assert permissions_of("user") == {"resources:read", "resources:write", "resources:delete", "resources:subscribe"}
    assert permissions_of("viewer") == {"resources:read", "resources:subscribe"}


def test_members_and_what_operators_changed_stay() -> None:
    call_command("migrate", "sessions_app", "0001", verbosity=0)
    try:
        drop_roles("developer", "user", "viewer")
        reader = Group.objects.get_or_create(name="reader")[0]
        writer = Group.objects.get_or_create(name="writer")[0]
        writer.permissions.set(Group.objects.get(name="admin").permissions.filter(codename="write"))
        User.objects.create_user("ann").groups.add(reader)
    finally:
        call_command("migrate", "sessions_app", verbosity=0)
    assert set(Group.objects.values_list("name", flat=True)) == set(ROLES)
    assert [group.pk for group in User.objects.get(username="ann").groups.all()] == [reader.pk]
    assert Group.objects.get(name="viewer").pk == reader.pk
    assert permissions_of("user") == {"resources:write"}


def test_a_name_that_is_taken_is_left_alone() -> None:
    call_command("migrate", "sessions_app", "0001", verbosity=0)
    try:
        own = Group.objects.get_or_create(name="user")[0]
        before = Group.objects.get_or_create(name="writer")[0]
        User.objects.create_user("ann").groups.add(before)
    finally:
        call_command("migrate", "sessions_app", verbosity=0)
    assert Group.objects.get(name="user").pk == own.pk
    assert Group.objects.get(name="writer").pk == before.pk
