"""Every request leaves one line in the log of the node that has answered it, whatever it came over."""

import re
from typing import Any

import orjson
import pytest

from tests.contract.conftest import Client
from tests.stack.answers import Refused
from tests.stack.cluster import Cluster
from tests.stack.rest import Rest
from tests.stack.sse import follow
from tests.stack.waiting import PATIENCE, eventually

CANARY = "canary-of-the-log"


def lines_of(stack: Cluster, request_id: str) -> list[dict[str, Any]]:
    """The lines on a request, of all nodes."""
    told = [line for node in stack.nodes for line in node.output.splitlines() if request_id in line]
    return [orjson.loads(line) for line in told]


async def line_of(stack: Cluster, request_id: str) -> dict[str, Any]:
    await eventually(lambda: lines_of(stack, request_id), PATIENCE, "the line is written")
    (line,) = lines_of(stack, request_id)
    return line


async def test_a_request_leaves_one_line_with_its_ids_and_no_content(
    alice: Client, transport: str, stack: Cluster
) -> None:
    asked: list[str] = []
    for _ in range(2):
        with pytest.raises(Refused) as refused:
            await alice.call("subscriptions/get", subscription=CANARY)
        asked.append(refused.value.data["request_id"])
    # lines of one node come in the order of their requests
    await line_of(stack, asked[1])
    line = await line_of(stack, asked[0])
    assert (line["transport"], line["method"]) == (transport, "subscriptions/get")
    assert (line["outcome"], line["code"], line["level"]) == ("refused", "resource_not_found", "info")
    assert line["message"] == "request" and line["logger"] == "erlmcp.requests" and line["ms"] > 0
    assert re.fullmatch(r"[0-9a-f-]{36}", line["session_id"])
    assert re.fullmatch(r"[0-9a-f]{32}", line["trace_id"]) and re.fullmatch(r"[0-9a-f]{16}", line["span_id"])
    assert CANARY not in str(line)


async def test_a_stream_leaves_one_line_when_it_has_begun(rest: Rest, tree: str, stack: Cluster) -> None:
    async with follow(rest, uri=f"{tree}*") as stream:
        line = await line_of(stack, stream.headers["request-id"])
    assert (line["transport"], line["outcome"], line["code"]) == ("sse", "success", "ok")
