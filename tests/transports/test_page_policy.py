"""What our pages hold is what their policy lets a browser do: nothing from elsewhere, no script in a page's text."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from erlmcp_site.page_policy import ADMIN, CONSOLE, DOCUMENTATION

ELSEWHERE = re.compile(r"^(?:[a-z]+:)?//|^(?:javascript|blob):", re.IGNORECASE)
LOADED = {"script": "src", "link": "href", "img": "src", "iframe": "src", "object": "data", "embed": "src"}
ADMIN_PAGES = (
    *("/admin/login/", "/admin/", "/admin/audit-policy/", "/admin/auth/user/", "/admin/auth/user/add/"),
    *("/admin/resources_app/resource/", "/admin/resources_app/resource/add/", "/admin/resources_app/subscription/"),
    *("/admin/sessions_app/session/", "/admin/sessions_app/tokenfamily/", "/admin/sessions_app/signingkey/"),
    *("/admin/audit_app/auditentry/", "/admin/audit_app/sink/"),
    *("/admin/second-factor/", "/admin/sessions_app/secondfactor/"),
)

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "audit"])


class Page(HTMLParser):
    """What a page loads, and where it has code or style in its own text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.handlers: list[str] = []
        self.inline: list[str] = []
        self.styles = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.handlers += [name for name in given if name.startswith("on")]
        address = given.get(LOADED.get(tag, ""), "")
        if address and given.get("rel") != "canonical":
            self.loaded.append(address)
        if tag == "script" and "src" not in given and given.get("type") not in {"application/json", "text/template"}:
            self.inline.append(tag)
        self.styles += tag == "style" or "style" in given


@pytest.fixture
def admin() -> Iterator[Client]:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    yield client


def look(client: Client, path: str) -> tuple[Page, dict[str, str]]:
    response = client.get(path, headers={"Accept": "text/html"})
    assert response.status_code == 200, path
    text = response.content.decode()
    page = Page(text)
    assert page.inline == page.handlers == [], path
    assert [address for address in page.loaded if ELSEWHERE.search(address)] == [], path
    return page, dict(response.headers)


@pytest.mark.parametrize("path", ADMIN_PAGES)
def test_the_admin_has_no_script_in_its_pages_and_takes_nothing_from_elsewhere(admin: Client, path: str) -> None:
    client = Client() if "login" in path else admin
    _, headers = look(client, path)
    assert headers["Content-Security-Policy"] == ADMIN
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"


@pytest.mark.parametrize("path", ADMIN_PAGES[1:])
def test_every_page_of_the_admin_has_a_way_out(admin: Client, path: str) -> None:
    assert 'action="/admin/logout/"' in admin.get(path).content.decode()


def test_the_first_page_has_neither_script_nor_style_in_its_text() -> None:
    page, headers = look(Client(), "/")
    assert (headers["Content-Security-Policy"], page.styles) == (CONSOLE, 0)
    assert "unsafe" not in CONSOLE and "script-src" not in CONSOLE


def test_the_documentation_keeps_its_script_in_an_address_of_its_own() -> None:
    page, headers = look(Client(), "/api/v1/docs")
    assert (headers["Content-Security-Policy"], page.styles) == (DOCUMENTATION, 0)
    (own,) = [address for address in page.loaded if address.startswith("/api/v1/docs")]
    script = Client().get(own)
    assert script["Content-Type"].startswith("application/javascript")
    assert "SwaggerUIBundle" in script.content.decode()


def test_no_policy_lets_text_be_code() -> None:
    for policy in (ADMIN, DOCUMENTATION, CONSOLE):
        told = dict(part.strip().partition(" ")[::2] for part in policy.split(";"))
        assert told["default-src"] == told["base-uri"] == told["frame-ancestors"] == "'none'"
        assert "'unsafe-inline'" not in told.get("script-src", "")
        assert "*" not in policy and "http" not in policy


def test_styles_and_scripts_are_served_by_ourselves() -> None:
    for name in ("erlmcp_site/console.css", "erlmcp_site/documentation.css"):
        response = Client().get(f"/static/{name}")
        assert (response.status_code, response["X-Content-Type-Options"]) == (200, "nosniff"), name


def test_cookies_of_the_admin_are_not_for_scripts_or_other_sites(settings: Any) -> None:
    User.objects.create_superuser("root", password="correct horse battery")
    client = Client()
    client.post("/admin/login/", {"username": "root", "password": "correct horse battery"})
    session = client.cookies[settings.SESSION_COOKIE_NAME]
    assert (session["httponly"], session["samesite"], session["path"]) == (True, "Lax", "/")
    assert session["max-age"] == 12 * 3600
    assert client.cookies[settings.CSRF_COOKIE_NAME]["samesite"] == "Lax"


def test_a_form_from_another_origin_is_refused_also_from_one_that_may_use_the_api(settings: Any) -> None:
    settings.ALLOWED_ORIGINS = ["https://app.example.com"]
    client = Client(enforce_csrf_checks=True)
    token = client.get("/admin/login/").cookies[settings.CSRF_COOKIE_NAME].value
    form = {"username": "root", "password": "x", "csrfmiddlewaretoken": token}
    for origin in ("https://app.example.com", "null", "https://evil.example"):
        assert client.post("/admin/login/", form, headers={"Origin": origin}).status_code == 403
    assert client.post("/admin/login/", form, headers={"Origin": "http://testserver"}).status_code == 200


def test_a_foreign_host_gets_no_page() -> None:
    for path in ("/", "/admin/login/", "/api/v1/docs"):
        assert Client().get(path, headers={"Host": "evil.example"}).status_code == 400, path


def test_the_script_of_the_documentation_is_data_and_fixed_text() -> None:
    """What a caller puts in the address does not get into the script."""
    script = Client().get("/api/v1/docs?script=&lang=%22%3B%20alert(1)//").content.decode()
    assert "alert(1)" not in script
