"""A gRPC client that calls methods of the table by their names, and follows."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc
import orjson
from google.rpc.status_pb2 import Status

from tests.stack.answers import Answer, Refused
from tests.stack.checker import Checker
from tests.stack.codes import CATEGORIES, GRPC
from tests.stack.messages import MODULES, event_of, kinds_of, request_of, result_of, rpc_of
from tests.stack.sockets import Followed
from tests.stack.waiting import PATIENCE, Late

OPTIONS = {"idempotency_key": "idempotency-key", "request_timeout": "request-timeout"}


class Unanswered(ConnectionError):
    """An RPC ended without an answer of a node: the connection broke, or somebody between gave it a status."""


class Grpc:
    """One caller over gRPC. `address` is host and port, `token` the access token; over TLS, `ca` is whom to trust."""

    def __init__(
        self,
        address: str,
        token: str | None = None,
        *,
        metadata: Mapping[str, str] | None = None,
        agent: str = "tests",
        options: Sequence[tuple[str, int]] = (),
        ca: Path | None = None,
    ) -> None:
        # a connection of its own, as other clients have; channels with the same options share one
        own = [("grpc.use_local_subchannel_pool", 1), ("grpc.primary_user_agent", agent)]
        if ca is None:
            self.channel = grpc.aio.insecure_channel(address, options=[*own, *options])
        else:
            trusted = grpc.ssl_channel_credentials(ca.read_bytes())
            self.channel = grpc.aio.secure_channel(address, trusted, options=[*own, *options])
        self.metadata = {**({"authorization": f"Bearer {token}"} if token else {}), **(metadata or {})}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.channel.close()

    async def call(self, method: str, metadata: Mapping[str, str] | None = None, /, **params: Any) -> Answer:
        """Call a method of the table by its name; what is an option of the call goes as metadata. Raises Refused.

        A stream is opened and left.
        """
        if method == "events/stream":
            async with self.follow(None, metadata, **params) as stream:
                return Answer(result={"subscription": stream.followed.id, "offset": stream.followed.start})
        options = {header: str(params.pop(name)) for name, header in OPTIONS.items() if name in params}
        message = request_of(method, params)
        response, trailing = await self.ask(
            rpc_of(method), message.SerializeToString(), {**options, **(metadata or {})}
        )
        result = result_of(method, kinds_of(method)[1].FromString(response))
        return Answer(result=result, headers=trailing)

    async def ask(
        self, path: str, data: bytes, metadata: Mapping[str, str] | None = None, timeout: float | None = 40
    ) -> tuple[bytes, Mapping[str, str]]:
        """Send any bytes to any RPC with one answer; returns its bytes and the trailing metadata.

        Raises Refused, and Unanswered.
        """
        call = self.channel.unary_unary(path)(
            data, metadata=tuple({**self.metadata, **(metadata or {})}.items()), timeout=timeout
        )
        try:
            response: bytes = await call
        except grpc.aio.AioRpcError as error:
            raise refused_by_grpc(error) from None
        trailing = dict(await call.trailing_metadata())
        assert trailing.keys() >= {"request-id", "log-offset"}, trailing
        return response, trailing

    def follow(
        self, checker: Checker | None = None, metadata: Mapping[str, str] | None = None, /, **params: Any
    ) -> "Stream":
        """Follow something; use as a context. `from` may be told as `start`."""
        if "start" in params:
            params["from"] = params.pop("start")
        call = self.channel.unary_stream(rpc_of("events/stream"))(
            request_of("events/stream", params).SerializeToString(),
            metadata=tuple({**self.metadata, **(metadata or {})}.items()),
        )
        return Stream(call, Followed(checker))


class Stream:
    """A call of Follow. `followed` is what has come; `last` the name of the last message."""

    def __init__(self, call: Any, followed: Followed) -> None:
        self.call = call
        self.followed = followed
        self.messages: list[Any] = []
        self.refused: Refused | None = None
        self.lost: Unanswered | None = None
        self.ended = asyncio.Event()
        self._begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Wait for the first message. Raises Refused, and Unanswered."""
        self._reading = asyncio.create_task(self._read())
        await self._begun
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.call.cancel()
        if self._reading is not None:
            await asyncio.gather(self._reading, return_exceptions=True)

    async def end(self, within: float = PATIENCE) -> Refused:
        """Wait until the server ends the stream, and return why."""
        try:
            async with asyncio.timeout(within):
                await self.ended.wait()
        except TimeoutError:
            raise Late(f"still open after {within} s") from None
        assert self.refused is not None, "the stream ended without a status of its own"
        return self.refused

    async def _read(self) -> None:
        try:
            async for data in self.call:
                self._take(MODULES["subscriptions"].FollowResponse.FromString(data))
        except grpc.aio.AioRpcError as error:
            self._end_by(error)
        finally:
            if not self._begun.done():
                self._begun.set_exception(
                    self.refused or self.lost or AssertionError("the stream ended without a word")
                )
            self.ended.set()
            self.followed.wake()

    def _end_by(self, error: grpc.aio.AioRpcError) -> None:
        try:
            self.refused = refused_by_grpc(error)
        except Unanswered as lost:
            self.lost = lost

    def _take(self, message: Any) -> None:
        self.messages.append(message)
        kind = message.WhichOneof("message")
        inner = getattr(message, kind)
        if kind == "started":
            self.followed.begin(inner.subscription, inner.offset)
            self._begun.set_result(None)
        elif kind == "events":
            self.followed.deliver([event_of(event) for event in inner.events], inner.offset)
        elif kind == "bookmark":
            self.followed.bookmark(inner.offset)


def refused_by_grpc(error: grpc.aio.AioRpcError) -> Refused:
    """The refusal in a status. Raises AssertionError when it is not one of contract §7, Unanswered when no node's."""
    trailing = {name: value for name, value in error.trailing_metadata() or () if isinstance(value, str)}
    details = [value for name, value in error.trailing_metadata() or () if name == "grpc-status-details-bin"]
    if not details:
        # a node gives every refusal its details; the gateway and the client's own library have none
        raise Unanswered(f"{error.code().name}: {error.details()}")
    assert {"request-id", "erlmcp-code", "erlmcp-category"} <= trailing.keys(), error
    status = Status.FromString(details[0])
    code = trailing["erlmcp-code"]
    assert error.code().name == GRPC[code], error
    assert (status.code, status.message) == (error.code().value[0], error.details()), status
    refusal = MODULES["errors"].Refusal()
    assert any(detail.Unpack(refusal) for detail in status.details), status
    assert (refusal.code, refusal.category) == (code, trailing["erlmcp-category"]), (status, trailing)
    assert refusal.request_id == trailing["request-id"] and refusal.category in CATEGORIES, (status, trailing)
    assert "Traceback" not in str(status), status
    data = orjson.loads(refusal.data_json or b"{}")
    named = {"code": code, "category": refusal.category, "request_id": refusal.request_id, "detail": status.message}
    return Refused(code, status.code, {**data, **named}, trailing)
