"""What clients of this era post: requests, notifications, and answers to what they were asked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from mcp_types import INVALID_REQUEST, ErrorData, RequestId

from erlmcp_site.pipeline.errors import InvalidRequest
from erlmcp_site.transports.mcp.outcomes import Rejected

MAX_BATCH: Final = 100
WITH_BATCHES: Final = "2025-03-26"
"""The only revision that has them."""

NO_MESSAGE: Final = "Body must be a JSON-RPC request, notification or response"


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """One message. A request has a method and an id, a notification no id, an answer no method.

    `body` is the whole message of an answer.
    """

    id: RequestId | None
    method: str | None
    params: Mapping[str, Any] | None
    body: Mapping[str, Any]

    @property
    def is_request(self) -> bool:
        return self.method is not None and self.id is not None


def read_one(body: object) -> Posted:
    """A message that came alone. Raises Rejected."""
    if not isinstance(body, dict) or body.get("jsonrpc") != "2.0":
        raise rejected(NO_MESSAGE)
    id, method, params = body.get("id"), body.get("method"), body.get("params")
    if id is not None and (not isinstance(id, str | int) or isinstance(id, bool)):
        raise rejected(NO_MESSAGE)
    if params is not None and not isinstance(params, dict):
        raise rejected(NO_MESSAGE, id)
    if method is None:
        if id is None or ("result" in body) is ("error" in body):
            raise rejected(NO_MESSAGE, id)
    elif not isinstance(method, str) or ("id" in body and id is None):
        raise rejected(NO_MESSAGE, id)
    return Posted(id=id, method=method, params=params, body=body)


def read_batch(bodies: list[object], version: str) -> list[Posted]:
    """The messages of a batch, of a session of some revision. Raises Rejected."""
    if version != WITH_BATCHES:
        raise rejected("This revision has no batches")
    if not bodies or len(bodies) > MAX_BATCH:
        raise rejected(f"A batch has 1 to {MAX_BATCH} messages")
    messages = [read_one(body) for body in bodies]
    if any(message.method == "initialize" for message in messages):
        raise rejected("A batch cannot begin a session")
    return messages


def rejected(message: str, id: RequestId | None = None) -> Rejected:
    """A message that is none of this protocol."""
    return Rejected(InvalidRequest(message), ErrorData(code=INVALID_REQUEST, message=message), id, status=400)
