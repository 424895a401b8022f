"""Every method is an RPC, and its messages say what its parameters and results do."""

from collections.abc import Iterator
from enum import Enum
from typing import Any, get_args

import pytest
from google.protobuf.descriptor import Descriptor
from google.protobuf.timestamp_pb2 import Timestamp

from audit_app.chain.bending import Kind
from audit_app.errors import InvalidParams
from audit_app.queries import Order
from audit_app.trail import Queue
from erlmcp_site.methods.results import RESULTS
from erlmcp_site.methods.table import METHODS
from erlmcp_site.pipeline.results import Shape
from erlmcp_site.transports.grpc.fields import json_name, message_of, params_of
from erlmcp_site.transports.grpc.generated import (
    access_pb2,
    audit_pb2,
    resources_pb2,
    sessions_pb2,
    subscriptions_pb2,
)
from erlmcp_site.transports.grpc.rpcs import RPCS
from resources_app.queries import Consistency
from resources_app.serializers import EVENT_TYPES
from resources_app.state import OnConflict
from sessions_app.access.rules import Effect, Verb
from sessions_app.states import State

ELSEWHERE = {
    *("auth/authenticate", "resources/subscribe", "resources/unsubscribe"),
    *("events/listen", "tools/list", "server/discover"),
}
"""What sockets need, on which more than one thing happens, and words of MCP."""

NOT_HERE = {
    # gRPC has bytes of its own, and Follow says it by start_offset
    "resources/read": {"raw"},
    "events/stream": {"after"},
    # said by the method
    "resources/create": {"must_exist"},
    "resources/patch": {"must_exist"},
    "resources/restore": {"must_exist"},
    "resources/delete": {"must_exist"},
}
IMPLIED = {"specversion", "datacontenttype"}
"""Names of events that a message has no need to tell."""


def test_every_method_is_an_rpc() -> None:
    assert {rpc.method for rpc in RPCS.values()} == set(METHODS) - ELSEWHERE
    assert len(RPCS) == len(METHODS) - len(ELSEWHERE)


@pytest.mark.parametrize("path", sorted(RPCS))
def test_a_request_has_a_field_for_each_parameter(path: str) -> None:
    rpc = RPCS[path]
    fields = {json_name(field) for field in rpc.request.DESCRIPTOR.fields}
    params: Any = METHODS[rpc.method].params
    assert fields == set(params.fields) - NOT_HERE.get(rpc.method, set())


@pytest.mark.parametrize("path", sorted(path for path, rpc in RPCS.items() if not rpc.streams))
def test_a_response_has_a_field_for_each_part_of_the_result(path: str) -> None:
    rpc = RPCS[path]
    descriptor = rpc.response.DESCRIPTOR
    if rpc.whole is not None:
        descriptor = descriptor.fields_by_name[rpc.whole].message_type
    assert not list(missing(descriptor, RESULTS[rpc.method]))


def missing(descriptor: Descriptor, declared: Shape) -> Iterator[str]:
    fields = {json_name(field): field for field in descriptor.fields}
    for name in declared.names - IMPLIED - {"data"}:
        if name not in fields:
            yield f"{descriptor.name}.{name}"
    for name, inner in declared.nested.items():
        kind = fields[name].message_type
        if kind.GetOptions().map_entry:
            for verb in inner.nested.values():
                yield from missing(kind.fields_by_name["value"].message_type, verb)
        else:
            yield from missing(kind, inner)


NAMES: dict[Any, Any] = {
    resources_pb2.OnConflict: OnConflict,
    resources_pb2.Consistency: Consistency,
    sessions_pb2.SessionState: [state for state in State if state is not State.GONE],
    access_pb2.Verb: Verb,
    access_pb2.Effect: Effect,
    audit_pb2.Order: Order,
    audit_pb2.Bending: get_args(Kind),
    audit_pb2.Queue: [queue.name.lower() for queue in Queue],
    subscriptions_pb2.EventKind: EVENT_TYPES,
}


@pytest.mark.parametrize("kind", NAMES, ids=lambda kind: kind.DESCRIPTOR.name)
def test_an_enum_has_every_name(kind: Any) -> None:
    first, *values = kind.DESCRIPTOR.values
    prefix = first.name.removesuffix("UNSPECIFIED")
    assert first.number == 0 and prefix != first.name
    told = {value.name.removeprefix(prefix).lower() for value in values}
    assert told == {one.value if isinstance(one, Enum) else one for one in NAMES[kind]}


def test_content_goes_both_ways_as_it_is() -> None:
    written = resources_pb2.WriteRequest(uri="resource://host/a", content_json='{"n":18446744073709551615,"x":null}')
    assert params_of(written) == {"uri": "resource://host/a", "content": {"n": 2**64 - 1, "x": None}}
    assert params_of(resources_pb2.WriteRequest(blob=b"\0\xff")) == {"blob": "AP8="}
    assert params_of(resources_pb2.WriteRequest(text="", base_version=0)) == {"text": "", "base_version": 0}
    for document in ({"content": None}, {"content": [1.5, "é"]}, {"text": "é"}, {"blob": "AP8="}):
        message = message_of(resources_pb2.Resource, document)
        assert params_of(message) == document


def test_a_value_that_an_enum_does_not_have_is_not_taken_for_another() -> None:
    unknown: Any = 77
    assert params_of(resources_pb2.ReadRequest(uri="a", consistency=unknown)) == {"uri": "a", "consistency": "77"}


def test_moments_are_to_the_microsecond() -> None:
    message: Any = message_of(access_pb2.Rule, {"created_at": "2026-11-28T09:44:44.123456Z", "expires_at": None})
    assert message.created_at.ToJsonString() == "2026-11-28T09:44:44.123456Z"
    assert not message.HasField("expires_at")
    before = message_of(access_pb2.Rule, {"created_at": "1969-12-31T23:59:59.5Z"})
    assert params_of(before)["created_at"].startswith("1969-12-31T23:59:59.5")
    with pytest.raises(InvalidParams):
        params_of(access_pb2.GrantRequest(expires_at=Timestamp(seconds=2**60)))
