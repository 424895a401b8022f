"""Content comes in one of three forms, and is checked before anything else happens."""

import base64
from typing import Any

import pytest
from pytest_django import Settings

from audit_app.errors import InvalidParams, TooDeep, TooLarge
from resources_app.contents import content_of
from resources_app.state import Kind, encode, raw
from tests.resources.states import state_at


@pytest.mark.parametrize("value", [None, True, 0, 1.5, "text", [], {}, {"a": [1, None]}, "\u00e9\U0001f600"])
def test_content_is_any_json_value(value: Any) -> None:
    assert content_of({"content": value}).kind is Kind.JSON


def test_size_counts_the_bytes_of_the_content_itself() -> None:
    assert content_of({"content": {"a": "\u00e9"}}).size == len('{"a":"\u00e9"}'.encode())
    assert content_of({"text": "\u00e9"}).size == 2
    assert content_of({"blob": base64.b64encode(b"12345").decode()}).size == 5


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"content": 1, "text": "a"},
        {"content": None, "blob": ""},
        {"text": 1},
        {"text": None},
        {"blob": None},
        {"blob": "a"},
        {"blob": "YQ=="[:-1]},
        {"blob": "Y Q=="},
        {"blob": "_-8="},
        {"blob": "\u00e9"},
    ],
)
def test_anything_but_one_well_formed_content_is_refused(params: dict[str, Any]) -> None:
    with pytest.raises(InvalidParams):
        content_of(params)


@pytest.mark.parametrize("params", [{"content": "a" * 1023}, {"text": "a" * 1025}, {"text": "\u00e9" * 513}])
def test_content_above_the_limit_is_refused(params: dict[str, Any], settings: Settings) -> None:
    settings.RESOURCE_MAX_BYTES = 1024
    with pytest.raises(TooLarge):
        content_of(params)


def test_content_at_the_limit_is_taken_and_a_blob_counts_without_its_encoding(settings: Settings) -> None:
    settings.RESOURCE_MAX_BYTES = 1024
    assert content_of({"content": "a" * 1022}).size == 1024
    assert content_of({"blob": base64.b64encode(bytes(1024)).decode()}).size == 1024
    with pytest.raises(TooLarge):
        content_of({"blob": base64.b64encode(bytes(1025)).decode()})


def test_json_nested_deeper_than_the_limit_is_refused() -> None:
    value: Any = 1
    for _ in range(64):
        value = [value]
    assert content_of({"content": value}).size == 129
    with pytest.raises(TooDeep):
        content_of({"content": [value]})


def test_the_content_itself_comes_back_as_it_was_given() -> None:
    for params, data in (
        ({"content": {"a": [1]}}, b'{"a":[1]}'),
        ({"text": "\u00e9\n"}, "\u00e9\n".encode()),
        ({"blob": "/+8="}, b"\xff\xef"),
    ):
        content = content_of(params)
        state = state_at(1, kind=content.kind, body=content.body, size=content.size)
        assert raw(state) == data


def test_a_deleted_resource_has_no_content_in_its_json() -> None:
    assert b'"content":null' in encode(state_at(1))
    assert b"content" not in encode(state_at(2, deleted=True, body=b"", size=0))
    assert b"content" not in encode(state_at(1), include_content=False)
