"""A cursor comes back as it was given out; everything else is refused."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_app.errors import InvalidParams
from erlmcp_site.methods.paging import cursor_of, page

KEYS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)


@given(KEYS)
def test_a_cursor_names_the_last_item_of_its_page(key: str) -> None:
    cursor = page("items", [key, "more"], 1, lambda index: [key, "more"][index])["next_cursor"]
    assert cursor_of({"cursor": cursor}) == key


def test_a_page_holds_at_most_its_limit_and_says_whether_more_follows() -> None:
    assert page("items", [1, 2], 2, str) == {"items": [1, 2], "next_cursor": None}
    assert page("items", [1, 2, 3], 2, str)["items"] == [1, 2]
    assert page("items", [1, 2, 3], 2, str)["next_cursor"] is not None
    assert page("items", [], 2, str) == {"items": [], "next_cursor": None}


def test_no_cursor_is_the_beginning() -> None:
    assert cursor_of({}) == ""
    assert cursor_of({"cursor": ""}) == ""


@pytest.mark.parametrize(
    "cursor",
    ["!!!!", "YWJj ", "a", "YWJ", "ключ", "YQ=\n=", base64.urlsafe_b64encode(b"\xff\xfe").decode(), "AA==", "YR=="],
)
def test_garbage_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidParams):
        cursor_of({"cursor": cursor})


@given(st.text(max_size=40))
def test_no_text_does_anything_but_name_a_key_or_be_refused(cursor: str) -> None:
    try:
        key = cursor_of({"cursor": cursor})
    except InvalidParams:
        return
    assert "\0" not in key
