"""Content of resources as pages show it: opened where it is encrypted."""

from asgiref.sync import async_to_sync

from encryption_app.data_keys import data_keys
from resources_app.log.read import logged
from resources_app.models import Event, Resource
from resources_app.queries import state_of
from resources_app.sealed import opened
from resources_app.state import ResourceState


def text_of(resource: Resource) -> str:
    """The content of a row: JSON, text or base64. Raises Unavailable, ContentDestroyed and ContentTampered."""
    return _opened(state_of(resource)).body.decode()


def event_text(row: Event) -> str:
    """An event as its followers get it. Raises the same."""
    event = logged(row)
    event.after = _opened(event.after)
    return event.text()


def _opened(state: ResourceState) -> ResourceState:
    async def work() -> ResourceState:
        return opened(state)

    return async_to_sync(data_keys.opening)(work)
