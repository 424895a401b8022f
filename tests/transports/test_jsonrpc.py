"""JSON-RPC 2.0: what is taken as a call, and how answers look."""

import contextlib
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_app.errors import InvalidParams, Refusal, TooDeep, Unavailable
from erlmcp_site.pipeline.errors import InvalidRequest, ParseError
from erlmcp_site.pipeline.messages import RawContent, Reply
from erlmcp_site.transports import jsonrpc
from erlmcp_site.transports.jsonrpc import BadCall, Call
from resources_app.errors import VersionConflict


def text(**members: Any) -> bytes:
    return orjson.dumps({"jsonrpc": "2.0", **members})


def only(data: bytes) -> Call | BadCall:
    message = jsonrpc.decode(data)
    assert not message.is_batch
    (call,) = message.calls
    return call


def reply(**fields: Any) -> Reply:
    return Reply(
        request_id="r-1",
        method="resources/read",
        outcome="refused" if "refusal" in fields else "success",
        **fields,
    )


@pytest.mark.parametrize("call_id", ["a", "", 0, 7, -1, 1.5, None])
def test_an_id_may_be_a_string_a_number_or_null(call_id: Any) -> None:
    assert only(text(id=call_id, method="ping")) == Call(call_id, "ping", {})


@pytest.mark.parametrize("call_id", [True, [], {}, [1]])
def test_an_id_of_another_type_is_refused_with_id_null(call_id: Any) -> None:
    bad = only(text(id=call_id, method="ping"))
    assert isinstance(bad, BadCall)
    assert bad.id is None
    assert isinstance(bad.refusal, InvalidRequest)


def test_a_call_without_an_id_is_a_notification() -> None:
    assert only(text(method="ping")) == Call(None, "ping", {}, is_notification=True)


@pytest.mark.parametrize(
    "value",
    [1, "ping", None, True, {}, {"method": "ping"}, {"jsonrpc": "1.0", "method": "ping"}, {"jsonrpc": "2.0"}],
)
def test_what_is_no_call_is_an_invalid_request(value: Any) -> None:
    bad = only(orjson.dumps(value))
    assert isinstance(bad, BadCall)
    assert isinstance(bad.refusal, InvalidRequest)


def test_a_bad_call_keeps_the_id_that_can_be_told() -> None:
    assert only(text(id=3, method=1)).id == 3


def test_params_by_position_are_invalid_params() -> None:
    bad = only(text(id=1, method="ping", params=[1]))
    assert isinstance(bad, BadCall)
    assert isinstance(bad.refusal, InvalidParams)


@pytest.mark.parametrize("params", [None, 1, "x"])
def test_params_that_are_no_structure_are_an_invalid_request(params: Any) -> None:
    bad = only(text(id=1, method="ping", params=params))
    assert isinstance(bad, BadCall)
    assert isinstance(bad.refusal, InvalidRequest)


def test_a_batch_keeps_its_order_and_its_bad_calls() -> None:
    message = jsonrpc.decode(orjson.dumps([{"jsonrpc": "2.0", "id": 1, "method": "ping"}, 1]))
    assert message.is_batch
    good, bad = message.calls
    assert good == Call(1, "ping", {})
    assert isinstance(bad, BadCall)


@pytest.mark.parametrize("size", [0, 101])
def test_an_empty_batch_and_one_of_more_than_100_are_refused_whole(size: int) -> None:
    with pytest.raises(InvalidRequest):
        jsonrpc.decode(orjson.dumps([{"jsonrpc": "2.0", "id": 1, "method": "ping"}] * size))


@pytest.mark.parametrize("data", [b"", b"{", b"nonsense", b"\xff\xfe", b"{'a': 1}", b'"\\ud800"', b"[1,]", b"NaN"])
def test_what_is_no_json_is_a_parse_error(data: bytes) -> None:
    with pytest.raises(ParseError):
        jsonrpc.decode(data)


@pytest.mark.parametrize("depth", [71, 500, 1000, 30_000])
def test_deep_nesting_is_too_deep(depth: int) -> None:
    with pytest.raises(TooDeep):
        jsonrpc.decode(b"[" * depth + b"]" * depth)


def test_content_of_the_allowed_depth_passes_also_in_a_batch_of_operations() -> None:
    content: Any = 1
    for _ in range(64):
        content = [content]
    write = {"method": "resources/write", "params": {"uri": "test://a/b", "content": content}}
    batch = {"jsonrpc": "2.0", "id": 1, "method": "resources/batch", "params": {"operations": [write]}}
    assert isinstance(jsonrpc.decode(orjson.dumps([batch])).calls[0], Call)


@pytest.mark.parametrize(
    "number", ["18446744073709551616", "-9223372036854775809", "1" * 5000, "-" + "9" * 30, "1e400"]
)
def test_a_number_that_we_cannot_hold_is_refused_and_not_changed(number: str) -> None:
    with pytest.raises(InvalidParams):
        jsonrpc.decode(b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"n":%s}}' % number.encode())


@pytest.mark.parametrize("number", [18446744073709551615, -9223372036854775808, 1234567890123456789])
def test_an_integer_of_64_bits_passes(number: int) -> None:
    assert only(text(id=1, method="ping", params={"n": number})) == Call(1, "ping", {"n": number})


def test_long_digits_in_a_string_or_behind_a_point_are_no_long_integers() -> None:
    data = b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"n":0.12345678901234567890123,"s":"%s"}}' % (b"9" * 50)
    assert isinstance(only(data), Call)


@given(st.binary(max_size=200))
def test_any_bytes_are_calls_or_a_refusal(data: bytes) -> None:
    with contextlib.suppress(Refusal):
        assert jsonrpc.decode(data).calls


def test_a_result_is_answered_as_it_is() -> None:
    answer = jsonrpc.encode(1, reply(result=orjson.Fragment(b'{"version":1}')))
    assert answer == b'{"jsonrpc":"2.0","id":1,"result":{"version":1}}'


def test_raw_content_is_answered_as_base64() -> None:
    answer = orjson.loads(jsonrpc.encode(1, reply(result=RawContent(mime_type="image/png", data=b"\x89PNG"))))
    assert answer["result"] == {"mime_type": "image/png", "blob": "iVBORw=="}


def test_a_refusal_is_answered_with_its_number_code_category_and_request() -> None:
    refusal = VersionConflict(current_version=3, conflicting_paths=["/a"])
    answer = orjson.loads(jsonrpc.encode("x", reply(refusal=refusal)))
    assert answer["id"] == "x"
    assert answer["error"]["code"] == -32009
    assert answer["error"]["message"] == refusal.message
    assert answer["error"]["data"] == {
        "code": "version_conflict",
        "category": "recoverable",
        "request_id": "r-1",
        "current_version": 3,
        "conflicting_paths": ["/a"],
    }


def test_a_refusal_says_when_to_try_again() -> None:
    answer = orjson.loads(jsonrpc.encode(1, reply(refusal=Unavailable(retry_after=2))))
    assert answer["error"]["data"]["retry_after"] == 2


def test_a_result_that_cannot_be_encoded_is_an_internal_error() -> None:
    answer = orjson.loads(jsonrpc.encode(1, reply(result=object())))
    assert answer["error"]["code"] == -32603


TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_what_is_about_the_call_itself_is_none_of_its_params() -> None:
    told = {"traceparent": TRACEPARENT, "tracestate": "a=1", "progressToken": 7, "authorization": "no"}
    call = only(text(id=1, method="ping", params={"uri": "a", "_meta": told}))
    assert isinstance(call, Call)
    assert call.params == {"uri": "a"}
    assert call.metadata == {"traceparent": TRACEPARENT, "tracestate": "a=1"}


@pytest.mark.parametrize("meta", [None, 1, "a", [], True])
def test_what_is_about_the_call_is_an_object(meta: Any) -> None:
    call = only(text(id=1, method="ping", params={"_meta": meta}))
    assert isinstance(call, BadCall)
    assert (call.id, call.refusal.code) == (1, "invalid_params")


@pytest.mark.parametrize("meta", [{}, {"traceparent": 1, "tracestate": None}, {"traceparent": [TRACEPARENT]}])
def test_what_it_says_of_a_trace_is_text_or_ignored(meta: Any) -> None:
    call = only(text(id=1, method="ping", params={"_meta": meta}))
    assert isinstance(call, Call)
    assert (call.params, call.metadata) == ({}, {})


@pytest.mark.parametrize(
    "result", [{"a": 1}, orjson.Fragment(b'{"a":1}'), RawContent(mime_type="text/plain", data=b"a")]
)
def test_an_answer_names_the_span_beside_the_result(result: Any) -> None:
    plain = orjson.loads(jsonrpc.encode(1, reply(result=result)))
    traced = orjson.loads(jsonrpc.encode(1, reply(result=result, traceparent=TRACEPARENT)))
    assert traced["result"].pop("_meta") == {"traceparent": TRACEPARENT}
    assert traced == plain


def test_a_refusal_names_it_in_its_data() -> None:
    traced = orjson.loads(jsonrpc.encode(1, reply(refusal=Unavailable(), traceparent=TRACEPARENT)))
    assert traced["error"]["data"].pop("_meta") == {"traceparent": TRACEPARENT}
    assert traced == orjson.loads(jsonrpc.encode(1, reply(refusal=Unavailable())))
