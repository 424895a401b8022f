"""Answers of a server, told alike for every transport."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.stack.codes import CATEGORIES, HTTP, JSONRPC


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A successful answer: the result, and what the transport said beside it (REST only: status and headers)."""

    result: Any
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        return self.result[name]


class Refused(Exception):
    """A refusal in the form of contract §7: `code`, `data` with everything beside it, and the wire's own number."""

    def __init__(
        self, code: str, number: int, data: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> None:
        self.code = code
        self.number = number
        self.data = data
        self.headers = headers or {}
        super().__init__(f"{number} {code}: {dict(data)}")


def refused_by_http(status: int, content_type: str, problem: Any, headers: Mapping[str, str]) -> Refused:
    """The refusal in a problem document. Raises AssertionError when it is not one of contract §7."""
    assert content_type.split(";")[0] == "application/problem+json", f"{status} came as {content_type}: {problem}"
    assert {"type", "title", "status", "detail", "code", "category", "request_id"} <= problem.keys(), problem
    code = problem["code"]
    assert status in HTTP[code] and problem["status"] == status, f"{code} came with {status}: {problem}"
    assert problem["category"] in CATEGORIES, problem
    assert problem["request_id"] == headers["request-id"], problem
    assert "Traceback" not in str(problem), problem
    if "retry_after" in problem:
        assert "retry-after" in headers, headers
    return Refused(code, status, problem, headers)


def refused_by_jsonrpc(error: Any) -> Refused:
    """The refusal in a JSON-RPC error. Raises AssertionError when it is not one of contract §7."""
    assert {"code", "message", "data"} <= error.keys(), error
    data = error["data"]
    assert {"code", "category", "request_id"} <= data.keys(), error
    assert error["code"] == JSONRPC[data["code"]], error
    assert data["category"] in CATEGORIES, error
    assert "Traceback" not in str(error), error
    return Refused(data["code"], error["code"], data)
