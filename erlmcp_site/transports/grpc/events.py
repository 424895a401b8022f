"""Events as messages of a stream, made once for all who are at the same place."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import orjson

from erlmcp_site.transports.grpc.fields import message_of
from erlmcp_site.transports.grpc.generated import subscriptions_pb2 as messages
from resources_app.log.events import LoggedEvent

MESSAGE_BYTES = 1024 * 1024
"""A message with several events has at most about so many bytes: clients take 4 MiB unless they say otherwise."""

Payload = tuple[bytes, ...]


def joined(events: Sequence[LoggedEvent], texts: Sequence[str]) -> Payload:
    """Events as one message of the stream, or several where they are large; shared by all streams."""
    made: list[bytes] = []
    gathered: list[messages.Event] = []
    size = 0
    for text in texts:
        if gathered and size + len(text) > MESSAGE_BYTES:
            made.append(_message(gathered))
            gathered, size = [], 0
        gathered.append(event_of(orjson.loads(text)))
        size += len(text)
    made.append(_message(gathered))
    return tuple(made)


def event_of(document: Mapping[str, Any]) -> messages.Event:
    """A CloudEvent as a message."""
    return cast(messages.Event, message_of(messages.Event, typed(document)))


def typed(document: Mapping[str, Any]) -> dict[str, Any]:
    """A CloudEvent whose data are named by what they are: the resource, or what has changed in it."""
    data = document["data"]
    return {**document, "delta" if "patch" in data else "resource": data}


def _message(events: Sequence[messages.Event]) -> bytes:
    told = messages.Events(events=events, offset=events[-1].offset)
    made: bytes = messages.FollowResponse(events=told).SerializeToString()
    return made
