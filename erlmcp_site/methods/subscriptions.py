"""The methods on subscriptions, and following them (contract §2, §4, §5)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson
from django.conf import settings
from django.utils.timezone import now
from uuid_utils import uuid7

from audit_app.database import in_database
from audit_app.errors import InvalidParams
from audit_app.writer import writer
from erlmcp_site.methods.causality import position_of
from erlmcp_site.methods.connections import stays
from erlmcp_site.methods.paging import cursor_of, page
from erlmcp_site.methods.table import Method, register
from erlmcp_site.pipeline.authorisation import demand
from erlmcp_site.pipeline.errors import MethodNotFound
from erlmcp_site.pipeline.messages import Effect, done
from erlmcp_site.pipeline.passage import Passage
from resources_app import serializers
from resources_app.errors import ResourceNotFound
from resources_app.hub.followers import Follower, Following, Outlet
from resources_app.hub.hub import hub
from resources_app.patterns import Pattern
from resources_app.queries import latest_state
from resources_app.subscriptions import (
    Acknowledge,
    Subscribe,
    Subscription,
    SubscriptionNotFound,
    Unsubscribe,
    find_subscription,
    list_subscriptions,
)
from sessions_app.access.following import followings
from sessions_app.authentication import authenticate
from sessions_app.errors import RateLimited
from sessions_app.limits import MethodClass
from sessions_app.positions import PositionUnknown, positions

SUBSCRIBE = "resources:subscribe"
DEFAULT_OPTIONS = serializers.DeliveryOptions().run_validation({})


async def create(passage: Passage) -> Any:
    params, session = passage.params, passage.session
    pattern: Pattern = params["uri"]
    passage.resource_id = str(pattern)
    await _must_exist(passage, pattern)
    subscription = Subscription(
        id=str(uuid7()),
        pattern=str(pattern),
        user_id=passage.known_caller.user_id,
        session_id=session.id if session else "",
        client_id=params.get("client_id") or passage.request.client_id,
        label=params["label"],
        events=",".join(_events(params)),
        options=_options_text(params),
        offset=await _start(params["from"], pattern),
        created_at=now(),
    )
    command = Subscribe(subscription=subscription, entry=passage.entry(_created))
    return passage.take(_created(await writer.submit(command)))


def _created(subscription: Subscription) -> Effect:
    return Effect(result=subscription.as_json(), created=True)


async def get(passage: Passage) -> Any:
    return (await _own(passage)).as_json()


async def list_(passage: Passage) -> Any:
    limit = passage.params["limit"]
    found = await in_database(list_subscriptions, passage.known_caller.user_id, cursor_of(passage.params), limit + 1)
    return page("subscriptions", [one.as_json() for one in found], limit, lambda index: found[index].id)


async def delete(passage: Passage) -> Any:
    id, user_id = passage.params["subscription"], passage.whose("sessions:admin")
    return passage.take(done(await writer.submit(Unsubscribe(id=id, user_id=user_id, entry=passage.entry(done)))))


async def follow(passage: Passage) -> Any:
    """Attach a follower to the outlet of the transport; it begins when the answer is on its way."""
    outlet, params = passage.request.outlet, passage.params
    if outlet is None:
        raise MethodNotFound(f"{passage.request.method} needs a transport that can push.")
    following = await _following(passage, params)
    follower = await hub.follow(following, outlet)
    try:
        _attach(follower, outlet)
        # what was revoked by now did not find this follower yet
        await watch(passage, follower)
    except BaseException:
        detach(follower, outlet)
        raise
    passage.undo = lambda: detach(follower, outlet)
    if passage.session is not None:
        await positions.follow(passage.session.id, follower)
    passage.then = lambda: hub.begin(follower)
    return {"subscription": following.subscription, "offset": follower.cursor}


async def stream(passage: Passage) -> Any:
    """The same where following is all that a connection is for, which belongs to its caller from now on."""
    outlet, caller, session = passage.request.outlet, passage.caller, passage.session
    if stays(outlet) and caller is not None and session is not None:
        outlet.identify(caller, session)
    return await follow(passage)


async def watch(passage: Passage, follower: Follower) -> None:
    """See to it that a follower is cut when its caller may not follow any more; checked again now. Raises Refusal."""
    caller = await authenticate(passage.request.credentials)
    followings.add(follower, caller)
    await demand(caller, passage.request.method, SUBSCRIBE, follower.following.pattern)


def _attach(follower: Follower, outlet: Outlet) -> None:
    if len(outlet.followers) >= settings.WS_MAX_SUBSCRIPTIONS:
        limit = settings.WS_MAX_SUBSCRIPTIONS
        raise RateLimited(f"At most {limit} subscriptions on one connection.", policy="subscriptions", limit=limit)
    if follower.subscription in outlet.followers:
        raise InvalidParams("This connection follows that subscription already.")
    outlet.followers[follower.subscription] = follower


def detach(follower: Follower, outlet: Outlet) -> None:
    """Let a follower go, and its outlet know of it no more."""
    if outlet.followers.get(follower.subscription) is follower:
        del outlet.followers[follower.subscription]
    hub.leave(follower)


async def unfollow(passage: Passage) -> Any:
    outlet = passage.request.outlet
    follower = outlet.followers.get(passage.params["subscription"]) if outlet else None
    if outlet is None or follower is None:
        raise SubscriptionNotFound()
    detach(follower, outlet)
    return {}


async def acknowledge(passage: Passage) -> Any:
    params = passage.params
    pattern = (await find(passage)).following().pattern
    kept = await hub.bounds()
    if params["offset"] > kept.head:
        kept.of(pattern).prove(params["offset"])
    command = Acknowledge(
        id=params["subscription"],
        user_id=passage.known_caller.user_id,
        offset=params["offset"],
        entry=passage.entry(_acknowledged),
    )
    return passage.take(_acknowledged(await writer.submit(command)))


def _acknowledged(subscription: Subscription) -> Effect:
    return Effect(result={"subscription": subscription.id, "offset": subscription.offset})


async def _following(passage: Passage, params: Mapping[str, Any]) -> Following:
    if "subscription" in params:
        following = (await find(passage)).following()
    else:
        pattern: Pattern = params["uri"]
        passage.resource_id = str(pattern)
        await _must_exist(passage, pattern)
        following = Following(
            subscription=str(uuid7()),
            pattern=pattern,
            events=frozenset(_events(params)),
            **params.get("options", DEFAULT_OPTIONS),
        )
    if "after" in params:
        return replace(following, after=params["after"])
    if "from" in params:
        return replace(following, after=await _start(params["from"], following.pattern))
    return following


async def _start(start: str | int, pattern: Pattern) -> int:
    """The offset that "now", "earliest" or an offset stands for. Raises Reset when a pattern cannot begin there."""
    if start == "now" and hub.started:
        return hub.position
    kept = (await hub.bounds()).of(pattern)
    offset = kept.head if start == "now" else kept.earliest - 1 if start == "earliest" else int(start)
    kept.prove(offset)
    return offset


async def _must_exist(passage: Passage, pattern: Pattern) -> None:
    """Raises ResourceNotFound. Who begins at once where this process is now is told of a deletion from there on."""
    if pattern.is_exact:
        try:
            after = await position_of(passage)
        except PositionUnknown:
            after = None
        state = await latest_state(pattern.prefix, after)
        passage.position = state.offset if state else 0
        if state is None or state.deleted:
            raise ResourceNotFound(uri=pattern.prefix)


async def _own(passage: Passage) -> Subscription:
    return await in_database(find_subscription, passage.params["subscription"], passage.known_caller.user_id)


async def find(passage: Passage) -> Subscription:
    """The caller's subscription, which may still be followed. Raises SubscriptionNotFound, Forbidden and the like."""
    found = await _own(passage)
    await demand(passage.known_caller, passage.request.method, SUBSCRIBE, found.following().pattern)
    return found


def _events(params: Mapping[str, Any]) -> list[str]:
    return list(params.get("events", serializers.EVENT_TYPES))


def _options_text(params: Mapping[str, Any]) -> str:
    return orjson.dumps(params.get("options", DEFAULT_OPTIONS)).decode()


def _method(
    name: str,
    run: Any,
    params: Any,
    needs: str | None = SUBSCRIBE,
    reads: bool = False,
    rate_class: MethodClass | None = None,
) -> Method:
    return Method(
        name=name,
        run=run,
        params=params,
        needs=needs,
        on="uri" if needs is not None else None,
        reads=reads,
        rate_class=rate_class,
        resource_type="subscription",
        resource=next((field for field in ("subscription", "uri") if field in params.fields), None),
    )


ONE = serializers.OneSubscriptionParams()

register(
    _method("subscriptions/create", create, serializers.SubscriptionParams(), rate_class=MethodClass.STREAMS),
    _method("subscriptions/get", get, ONE, needs=None, reads=True),
    _method("subscriptions/list", list_, serializers.PageParams(), needs=None, reads=True),
    _method("subscriptions/delete", delete, ONE, needs=None),
    _method("resources/subscribe", follow, serializers.FollowParams(), reads=True, rate_class=MethodClass.STREAMS),
    _method("events/stream", stream, serializers.FollowParams(), reads=True, rate_class=MethodClass.STREAMS),
    _method("resources/unsubscribe", unfollow, ONE, needs=None, reads=True),
    _method("events/ack", acknowledge, serializers.AckParams()),
)
