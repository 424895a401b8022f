"""Content of resources as pages show it: opened where it is encrypted."""

from asgiref.sync import async_to_sync

from resources_app.log.read import logged
from resources_app.models import Event, Resource
from resources_app.queries import state_of
from resources_app.sealed import unlock


def text_of(resource: Resource) -> str:
    """The content of a row: JSON, text or base64. Raises Unavailable, ContentDestroyed and ContentTampered."""
    return async_to_sync(unlock)(state_of(resource)).body.decode()


def event_text(row: Event) -> str:
    """An event as its followers get it. Raises the same."""
    event = logged(row)
    event.after = async_to_sync(unlock)(event.after)
    return event.text()
