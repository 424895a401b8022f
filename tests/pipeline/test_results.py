"""Every method declares what its answers may hold; nothing else leaves, and no secret is declared."""

import ast
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.conf import settings
from drf_spectacular.generators import SchemaGenerator
from rest_framework import serializers

from erlmcp_site.methods import catalogue  # noqa: F401  # fills the table
from erlmcp_site.methods.results import DELETED, EVENT, RESOURCE, RESULTS, SUBSCRIPTION
from erlmcp_site.methods.table import METHODS
from erlmcp_site.pipeline.messages import Request
from erlmcp_site.pipeline.method import Method
from erlmcp_site.pipeline.results import Shape, Undeclared, hold, shape
from erlmcp_site.pipeline.runner import Pipeline
from resources_app.state import Kind, OnConflict, encode
from tests.resources.states import event_of, state_at

TELLS_SECRETS = {"auth/login": {"access", "refresh"}, "auth/refresh": {"access", "refresh"}}
"""The methods whose answers are there to hand a secret over, and which."""

ENCODERS = {
    *("erlmcp_site/methods/resources.py", "erlmcp_site/methods/events.py"),
    *("resources_app/log/events.py", "resources_app/subscriptions.py", "resources_app/state.py"),
    *("erlmcp_site/transports/jsonrpc.py", "erlmcp_site/transports/mcp/answers.py", "audit_app/queries.py"),
    *("audit_app/sinks/http.py", "audit_app/chain/canonical.py"),
}
"""Where something is given on that the pipeline does not look into."""


@pytest.fixture(scope="module")
def document() -> Any:
    return SchemaGenerator().get_schema(request=None, public=True)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_a_method_declares_its_answers(method: str) -> None:
    assert method in RESULTS, f"{method} declares no result in erlmcp_site/methods/results.py"


def test_nothing_is_declared_for_methods_that_are_not() -> None:
    assert set(RESULTS) <= set(METHODS)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_what_is_described_is_what_is_declared(document: Any, method: str) -> None:
    """The 2xx answers of the OpenAPI document, where the method has an address of its own, hold these very names."""
    described = list(answers(document, method))
    if described and method != "telemetry/snapshot":
        assert names(RESULTS[method]) in [names_in(document, found) for found in described]


def answers(document: Any, method: str) -> Iterator[Any]:
    """The schemas of all successful JSON answers of a method."""
    for operations in document["paths"].values():
        for operation in operations.values():
            if operation["operationId"] != method.replace("/", "_"):
                continue
            for status, answer in operation["responses"].items():
                found = answer.get("content", {}).get("application/json", {}).get("schema")
                if status.startswith("2") and found:
                    whole = resolved(document, found)
                    yield from (resolved(document, one) for one in whole.get("anyOf", [whole]))


def resolved(document: Any, found: Any) -> Any:
    while "$ref" in found or "oneOf" in found:
        if "oneOf" in found:
            # an object, or null
            found = found["oneOf"][0]
        else:
            found = document["components"]["schemas"][found["$ref"].rpartition("/")[2]]
    return found


def names_in(document: Any, found: Any) -> Any:
    """The names that a schema has, with those of the objects in it that have names."""
    properties = resolved(document, found).get("properties", {})
    inside = {}
    for name, one in properties.items():
        part = resolved(document, one)
        part = resolved(document, part.get("items", part))
        inside[name] = names_in(document, part) if part.get("properties") else {}
    return inside


def names(declared: Shape) -> Any:
    return {name: names(declared.nested[name]) if name in declared.nested else {} for name in declared.names}


@pytest.mark.parametrize("method", sorted(RESULTS))
def test_no_answer_has_a_name_that_secrets_have(method: str) -> None:
    secret = {name for name in all_names(RESULTS[method]) if settings.AUDIT_REDACT.names.fullmatch(name)}
    assert secret == TELLS_SECRETS.get(method, set())


def all_names(declared: Shape) -> frozenset[str]:
    return declared.names.union(*(all_names(inner) for inner in declared.nested.values()))


@pytest.mark.parametrize("kind", list(Kind))
def test_a_resource_is_encoded_with_declared_names_only(kind: Kind) -> None:
    state = state_at(1, "YQ==", kind=kind)
    encoded = orjson.loads(encode(state, resolution=OnConflict.MERGE))
    assert encoded.keys() == RESOURCE.names - ({"content", "text", "blob"} - {kind.value})
    assert not {"content", "text", "blob"} & orjson.loads(encode(state, include_content=False)).keys()


def test_an_event_is_encoded_with_declared_names_only() -> None:
    for type in ("created", "updated", "deleted"):
        event = orjson.loads(event_of(type=type).text())
        assert event.keys() | {"resolution", "traceparent", "tracestate"} == EVENT.names
        assert event["data"].keys() <= RESOURCE.names | DELETED.names


def test_options_are_kept_as_they_were_checked() -> None:
    assert SUBSCRIPTION.nested["options"].names == {"batch_size", "throttle_ms", "delta", "include_content"}


def test_only_known_encoders_give_on_what_nobody_looks_into() -> None:
    """A new one belongs into this list, and under a test of what it encodes."""
    found = set()
    for app in ("erlmcp_site", "sessions_app", "resources_app", "encryption_app", "audit_app", "telemetry_app"):
        for path in Path(settings.BASE_DIR, app).rglob("*.py"):
            calls = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
            if any(isinstance(call.func, ast.Attribute) and call.func.attr == "Fragment" for call in calls):
                found.add(str(path.relative_to(settings.BASE_DIR)))
    assert found == ENCODERS


DECLARED = shape("id", items=shape("name", inner=shape("a")))


@pytest.mark.parametrize(
    "result",
    [
        {},
        {"id": {"anything": 1}},
        {"id": 1, "items": [{"name": 1, "inner": {"a": 1}}]},
        {"items": [1, None, "x", orjson.Fragment("{}")]},
        {"items": {"name": 1}},
        orjson.Fragment('{"password":1}'),
        None,
    ],
)
def test_what_is_declared_passes(result: Any) -> None:
    hold(result, DECLARED)


@pytest.mark.parametrize(
    "result",
    [
        {"id": 1, "password": "hunter2"},
        {"items": [{"name": 1}, {"password": "hunter2"}]},
        {"items": {"inner": {"b": "hunter2"}}},
    ],
)
def test_what_is_not_declared_does_not_and_is_not_shown(result: Any) -> None:
    with pytest.raises(Undeclared) as undeclared:
        hold(result, DECLARED)
    assert "hunter2" not in str(undeclared.value)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("declared", [{}, {"test/leak": shape("id")}])
async def test_a_method_that_says_too_much_answers_nothing(declared: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def leak(passage: Any) -> Any:
        return {"id": 1, "password_hash": "hunter2"}

    method = Method(name="test/leak", run=leak, params=serializers.Serializer(), needs=None, public=True)
    request = Request(id="r", method="test/leak", params={}, transport="rest", timestamp=time.time())
    reply = await Pipeline({"test/leak": method}, declared).run(request)
    assert (reply.outcome, reply.result) == ("error", None)
    assert reply.refusal is not None and reply.refusal.code == "internal_error"
    assert "password_hash" in caplog.text and "hunter2" not in caplog.text
