"""Files of pages are answered whole, in part, or not again."""

from pathlib import Path

import pytest
from django.contrib.staticfiles import finders

from tests.transports.http_server import Site

NAME = "erlmcp_site/console.css"
ADDRESS = f"/static/{NAME}"

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture
def stored() -> bytes:
    path = finders.find(NAME)
    assert isinstance(path, str)
    return Path(path).read_bytes()


async def test_a_file_comes_whole_under_its_type(site: Site, stored: bytes) -> None:
    answer = await site.http.get(ADDRESS)
    assert (answer.status_code, answer.content) == (200, stored)
    assert answer.headers["content-type"] == 'text/css; charset="utf-8"'
    assert answer.headers["content-length"] == str(len(stored))


async def test_who_asks_for_its_head_gets_no_body(site: Site, stored: bytes) -> None:
    answer = await site.http.head(ADDRESS)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == str(len(stored))


async def test_a_part_of_it_can_be_asked_for(site: Site, stored: bytes) -> None:
    answer = await site.http.get(ADDRESS, headers={"Range": "bytes=3-12"})
    assert (answer.status_code, answer.content) == (206, stored[3:13])
    assert answer.headers["content-range"] == f"bytes 3-12/{len(stored)}"
    assert (await site.http.get(ADDRESS, headers={"Range": "bytes=9999999-"})).status_code == 416


async def test_a_browser_that_has_it_does_not_get_it_again(site: Site) -> None:
    first = await site.http.get(ADDRESS)
    again = await site.http.get(ADDRESS, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_a_file_is_only_read(site: Site) -> None:
    answer = await site.http.post(ADDRESS)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert (await site.http.get("/static/erlmcp_site/none.css")).status_code == 404
