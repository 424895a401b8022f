"""The live view shows the snapshot to those who may read telemetry, reloads itself, and leaves an entry."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from audit_app.writer import writer
from tests.stack.outbox import entries

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "audit"])


def browser(*permissions: str) -> Client:
    user = User.objects.create_user("operator", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client(REMOTE_ADDR="192.0.2.7")
    client.force_login(user)
    return client


def left() -> list[tuple[Any, ...]]:
    writer.close()
    return [(entry["action"], entry["outcome"], entry["transport"], entry["user"]) for entry in entries()]


def test_it_shows_figures_and_checks_and_needs_no_script() -> None:
    response = browser("read_telemetry").get("/admin/live/")
    text = response.content.decode()
    assert response.status_code == 200
    assert '<meta http-equiv="refresh" content="2">' in text
    assert "<script" not in text and "style=" not in text
    for words in ("deliveries", "delivery lag", "for the writer", "for the trail: security", "Slow topics", "checks"):
        assert words in text
    assert ("telemetry/snapshot", "success", "admin", "operator") in left()


def test_it_is_for_those_who_may_read_telemetry() -> None:
    assert browser("read_audit").get("/admin/live/").status_code == 403
    assert ("telemetry/snapshot", "refused", "admin", "operator") in left()


def test_everybody_else_is_led_to_the_login() -> None:
    response = Client().get("/admin/live/")
    assert (response.status_code, response.headers["Location"]) == (302, "/admin/login/?next=/admin/live/")


def test_the_console_leads_there() -> None:
    assert 'href="/admin/live/"' in Client().get("/").content.decode()
