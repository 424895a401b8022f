"""Every refusal has its row, and looks the way contract §7 says on every wire."""

import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType

import pytest

import audit_app
import erlmcp_site
import resources_app
import sessions_app
from audit_app.errors import InvalidParams, Refusal, Unavailable
from erlmcp_site.transports.wire import ROWS, error_data, jsonrpc_error, problem
from resources_app.errors import VersionConflict

GRPC_NAMES = {
    *("INVALID_ARGUMENT", "UNIMPLEMENTED", "UNAUTHENTICATED", "PERMISSION_DENIED", "NOT_FOUND", "ABORTED"),
    *("ALREADY_EXISTS", "FAILED_PRECONDITION", "RESOURCE_EXHAUSTED", "UNAVAILABLE", "INTERNAL", "DEADLINE_EXCEEDED"),
    "OUT_OF_RANGE",
}


def _import_errors(package: ModuleType) -> None:
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if module.name.rpartition(".")[2] == "errors":
            importlib.import_module(module.name)


def _kinds(base: type[Refusal] = Refusal) -> Iterator[type[Refusal]]:
    for kind in base.__subclasses__():
        yield kind
        yield from _kinds(kind)


def test_every_refusal_has_a_row() -> None:
    for package in (audit_app, resources_app, sessions_app, erlmcp_site):
        _import_errors(package)
    missing = {kind.code for kind in _kinds()} - set(ROWS)
    assert not missing


@pytest.mark.parametrize("code", sorted(ROWS))
def test_a_row_has_numbers_that_its_wires_know(code: str) -> None:
    row = ROWS[code]
    assert 400 <= row.http < 600
    assert -32768 <= row.jsonrpc <= -32000
    assert row.grpc in GRPC_NAMES


def test_a_problem_tells_code_category_and_request() -> None:
    document = problem(InvalidParams("limit is too large"), "r-1", 400)
    assert document == {
        "type": "urn:erlmcp:problem:invalid_params",
        "title": "Invalid params",
        "status": 400,
        "detail": "limit is too large",
        "code": "invalid_params",
        "category": "fatal",
        "request_id": "r-1",
    }


def test_the_data_of_a_refusal_stand_beside_and_never_instead() -> None:
    data = error_data(VersionConflict(current_version=3, request_id="forged"), "r-2")
    assert (data["current_version"], data["request_id"], data["category"]) == (3, "r-2", "recoverable")


def test_a_json_rpc_error_tells_when_to_try_again() -> None:
    error = jsonrpc_error(Unavailable(retry_after=2.5), "r-3")
    assert error["code"] == -32053
    assert error["data"]["retry_after"] == 2.5


def test_a_refusal_tells_nothing_back_that_looks_like_a_secret() -> None:
    token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiI3In0.c2lnbmF0dXJlLW9mLXRoaXM"
    errors = {"password": ["This field is required."], token: [f"{token} is not a valid choice."]}
    refusal = InvalidParams(f"There is no method {token!r}.", errors=errors, uri=f"resource://host/{token}", limit=3)
    for told in (problem(refusal, "r", 400), jsonrpc_error(refusal, "r")):
        assert "c2lnbmF0dXJl" not in str(told)
    data = error_data(refusal, "r")
    assert data["errors"]["password"] == ["This field is required."]
    assert data["limit"] == 3
