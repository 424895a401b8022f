"""PRODUCTION=1 starts only where nothing of a trial is left over; without it, everything starts with nothing set."""

import secrets
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

from erlmcp_site.production import is_weak, objections
from erlmcp_site.serving.greeting import command_to_try
from tests.pipeline.test_settings import command, start

SECRET = secrets.token_urlsafe(50)
GOOD: dict[str, Any] = {
    "secret": SECRET,
    "debug": False,
    "hosts": ["hub.example.com"],
    "origins": ["https://app.example.com"],
    "proxies": [ip_network("10.0.0.0/8")],
}
ENVIRONMENT = {"PRODUCTION": "1", "SECRET_KEY": SECRET, "TRUSTED_PROXIES": "10.0.0.0/8", "ALLOWED_HOSTS": "hub.example"}


def test_what_is_set_as_it_should_be_meets_no_objection() -> None:
    assert objections(**GOOD) == []


@pytest.mark.parametrize(
    ("changed", "variable"),
    [
        ({"debug": True}, "DEBUG"),
        ({"secret": "changeme" + SECRET}, "SECRET_KEY"),
        ({"hosts": ["hub.example.com", "*"]}, "ALLOWED_HOSTS"),
        ({"origins": ["http://app.example.com"]}, "ALLOWED_ORIGINS"),
        ({"proxies": []}, "TRUSTED_PROXIES"),
        ({"proxies": [ip_network("0.0.0.0/0")]}, "TRUSTED_PROXIES"),
        ({"proxies": [ip_network("::/0")]}, "TRUSTED_PROXIES"),
    ],
)
def test_each_leftover_is_objected_to_by_its_name(changed: dict[str, Any], variable: str) -> None:
    (objection,) = objections(**{**GOOD, **changed})
    assert objection.startswith(variable)


@pytest.mark.parametrize(
    "secret",
    ["", "x" * 80, "django-insecure-" + SECRET, "Secret" + SECRET, SECRET[:40]],
    ids=["none", "monotonous", "Django's example", "an example", "short"],
)
def test_a_secret_that_others_know_or_can_guess_is_weak(secret: str) -> None:
    assert is_weak(secret)


def test_a_production_is_clean_in_djangos_own_eyes(tmp_path: Path) -> None:
    checked = command(tmp_path, ["check", "--deploy", "--fail-level", "INFO"], **ENVIRONMENT)
    assert checked.returncode == 0, checked.stderr
    assert "no issues" in checked.stdout + checked.stderr


def test_a_production_with_leftovers_does_not_start_and_says_all_of_them(tmp_path: Path) -> None:
    started = start(tmp_path, PRODUCTION="1", SECRET_KEY="changeme", DEBUG="1")
    assert started.returncode == 1
    assert started.stderr.startswith("erlmcp cannot start: PRODUCTION is 1")
    for variable in ("DEBUG", "SECRET_KEY", "TRUSTED_PROXIES"):
        assert f" {variable} must" in started.stderr
    assert "changeme" not in started.stderr and "Traceback" not in started.stderr


def test_a_secret_that_was_made_here_is_as_good_as_one_that_was_given(tmp_path: Path) -> None:
    started = start(tmp_path, PRODUCTION="1", TRUSTED_PROXIES="10.0.0.1")
    assert started.returncode == 0, started.stderr


def test_debug_is_never_on_in_silence(tmp_path: Path) -> None:
    assert "DEBUG is on" in start(tmp_path, DEBUG="1").stderr
    assert "DEBUG" not in start(tmp_path).stderr


@pytest.mark.django_db(transaction=True, databases=["default", "audit"])
def test_in_production_pages_come_over_tls_only_and_cookies_are_bound_to_the_host(settings: Settings) -> None:
    settings.SECURE_SSL_REDIRECT = settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = True
    settings.SECURE_HSTS_SECONDS = 3600
    settings.SESSION_COOKIE_NAME = "__Host-erlmcp_admin"
    plain = Client().get("/admin/login/")
    assert (plain.status_code, plain["Location"]) == (301, "https://testserver/admin/login/")
    page = Client().get("/admin/login/", secure=True)
    assert page["Strict-Transport-Security"] == "max-age=3600; includeSubDomains"
    assert page.cookies[settings.CSRF_COOKIE_NAME]["secure"]
    User.objects.create_superuser("root", password="correct horse battery")
    client = Client()
    form = {"username": "root", "password": "correct horse battery"}
    client.post("/admin/login/", form, secure=True)
    session = client.cookies["__Host-erlmcp_admin"]
    assert (session["secure"], session["path"], session["domain"]) == (True, "/", "")


@pytest.mark.parametrize(("production", "path"), [(False, "/api/v1/auth/login"), (True, "/health/ready")])
def test_what_there_is_to_try_is_answered_at_this_address(settings: Settings, production: bool, path: str) -> None:
    settings.PRODUCTION = production
    assert path in command_to_try("http://127.0.0.1:8000", {"alice": "s"}, with_demo=False)
