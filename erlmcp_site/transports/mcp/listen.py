"""`subscriptions/listen`: one answer that tells of changes until somebody ends it (design page mcp.md, R4)."""

from typing import Any, Final

from mcp_types import ErrorData, RequestId, SubscriptionFilter, SubscriptionsListenRequestParams
from pydantic import ValidationError

from audit_app.errors import InvalidParams, Refusal
from erlmcp_site.methods.lists import PROMPTS, RESOURCES, TOOLS
from erlmcp_site.pipeline.messages import Reply
from erlmcp_site.transports.http.answers import Answer, Application
from erlmcp_site.transports.mcp import kernel
from erlmcp_site.transports.mcp.answers import error_answer, frame, notification_message, result_message, turned
from erlmcp_site.transports.mcp.exchange import Exchange, Turned
from erlmcp_site.transports.mcp.following import NotificationStream
from erlmcp_site.transports.streams import admitted, streams
from sessions_app.errors import Unauthenticated

LISTEN: Final = "subscriptions/listen"
ACKNOWLEDGED: Final = "notifications/subscriptions/acknowledged"
SUBSCRIPTION: Final = "io.modelcontextprotocol/subscriptionId"

URIS: Final = "resourceSubscriptions"
LISTS: Final = {RESOURCES: "resourcesListChanged", PROMPTS: "promptsListChanged", TOOLS: "toolsListChanged"}


class ListenStream(NotificationStream):
    """The stream of one request to listen, whose id stands in all that it says. Its result is its last message."""

    def __init__(self, id: RequestId) -> None:
        super().__init__()
        self.meta = {SUBSCRIPTION: id}
        self.last_words = frame(result_message(id, {"resultType": "complete", "_meta": self.meta}))

    def open(self, reply: Reply, asked: SubscriptionFilter) -> None:
        """Say first what is honoured of what was asked for; what follows begins when that is on its way."""
        told: dict[str, Any] = {LISTS[name]: True for name in reply.result["lists"]}
        if asked.resource_subscriptions is not None:
            told[URIS] = reply.result["uris"]
        self.opening = frame(notification_message(ACKNOWLEDGED, {"notifications": told, "_meta": self.meta}))

        def begin() -> None:
            if reply.then is not None:
                reply.then()
            self.begin()

        self.on_open = begin


async def listen(exchange: Exchange) -> Application:
    """The answer to a request to listen, when its turn has come."""
    try:
        asked = SubscriptionsListenRequestParams.model_validate(exchange.params, by_name=False).notifications
    except ValidationError:
        return await _refused(exchange, InvalidParams("notifications is not a filter of subscriptions."))
    stream = ListenStream(exchange.id)
    request = exchange.request("events/listen", _params(asked), stream)
    try:
        reply = exchange.heard(await admitted(request))
        if reply.refusal is not None:
            stream.leave()
            return _error(exchange, reply.refusal)
        await streams.keep(stream, request, reply.session_id)
    except Unauthenticated as refusal:
        stream.leave()
        return turned(refusal, exchange.incoming, exchange.headers)
    except Turned as turned_away:
        stream.leave()
        return turned(turned_away.refusal, exchange.incoming, turned_away.headers)
    except Refusal as refusal:
        stream.leave()
        return _error(exchange, refusal)
    except BaseException:
        stream.leave()
        raise
    stream.headers += exchange.headers
    stream.open(reply, asked)
    return stream


def _params(asked: SubscriptionFilter) -> dict[str, Any]:
    wanted = {
        RESOURCES: asked.resources_list_changed,
        PROMPTS: asked.prompts_list_changed,
        TOOLS: asked.tools_list_changed,
    }
    names = [name for name, is_wanted in wanted.items() if is_wanted]
    return {"uris": asked.resource_subscriptions or [], **({"lists": names} if names else {})}


async def _refused(exchange: Exchange, refusal: Refusal) -> Answer:
    try:
        return _error(exchange, await exchange.refuse(refusal))
    except Turned as turned_away:
        return turned(turned_away.refusal, exchange.incoming, turned_away.headers)


def _error(exchange: Exchange, refusal: Refusal) -> Answer:
    told = kernel.error_of(exchange.error(refusal)) or ErrorData(code=-32603, message="Internal server error")
    return error_answer(exchange.id, told, exchange.headers)
