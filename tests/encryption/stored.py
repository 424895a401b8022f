"""What an intruder with the database in hand does to encrypted content, and what an operator sees of it."""

from typing import Any

import orjson

from audit_app.models import OutboxEntry
from audit_app.queues import Queue
from encryption_app.models import DataKey
from resources_app.models import Event, Resource
from telemetry_app.metrics import TAMPERED


def swap_resources(one: str, other: str) -> None:
    """Each of two resources has the content of the other."""
    bodies = {uri: Resource.objects.get(uri=uri).body for uri in (one, other)}
    Resource.objects.filter(uri=one).update(body=bodies[other])
    Resource.objects.filter(uri=other).update(body=bodies[one])


def put_back(uri: str, version: int) -> None:
    """A resource has the content that it had at an earlier version."""
    Resource.objects.filter(uri=uri).update(body=Event.objects.get(uri=uri, version=version).body)


def swap_keys(one: str, other: str) -> None:
    """Each of two resources has the data key of the other."""
    keys = {uri: DataKey.objects.get(subject=uri) for uri in (one, other)}
    for uri, key in ((one, keys[other]), (other, keys[one])):
        DataKey.objects.filter(pk=keys[uri].pk).update(wrapped=key.wrapped)


def damage_event(uri: str, version: int) -> None:
    """One bit of an event's content is another one."""
    event = Event.objects.get(uri=uri, version=version)
    body = bytearray(event.body)
    body[-1] ^= 1
    Event.objects.filter(pk=event.pk).update(body=bytes(body))


def forge_key_id(uri: str) -> None:
    """A resource and its event name a data key that never was."""
    for model in (Resource, Event):
        for row in model.objects.filter(uri=uri):
            body = bytes(row.body)
            model.objects.filter(pk=row.pk).update(body=body[:2] + bytes(16) + body[18:])


def alarms() -> list[dict[str, Any]]:
    """The entries of the queue security that tell of what did not open."""
    texts = OutboxEntry.objects.filter(queue=Queue.SECURITY).values_list("entry", flat=True)
    return [entry for entry in map(orjson.loads, texts) if entry["action"] == "encryption/open"]


def count_of(what: str) -> float:
    """The metric that counts what did not open."""
    return float(TAMPERED.labels(what)._value.get())
