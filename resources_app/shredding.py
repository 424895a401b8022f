"""Crypto-shredding: with its data key, the content of a resource is destroyed everywhere, in history as in backups."""

from audit_app.database import in_database
from audit_app.errors import Refusal
from audit_app.trail import Entry
from audit_app.writer import writer
from encryption_app.commands import DestroyDataKeys
from encryption_app.data_keys import data_keys
from encryption_app.key_rows import KeptKey
from encryption_app.queries import living_key
from resources_app.changes import Delete
from resources_app.errors import ResourceNotFound
from resources_app.hub.locks import CONTENT_DESTROYED
from resources_app.log.control import ControlEvent
from resources_app.queries import exists
from resources_app.rewriting import plain_versions
from resources_app.store import ChangeResources


class NotEncrypted(Refusal):
    """Some of it is kept without encryption: destroying a key would not destroy that."""

    code = "invalid_request"


async def destroy_content(uri: str, entry: Entry) -> None:
    """Destroy the content of a resource, of every version, and delete it if it is there.

    Every node hears of it at once, and forgets what it has in memory. What is written afterwards has a new key. Called
    again, it does what is left to be done. Raises NotEncrypted while a version is kept without encryption, and
    ResourceNotFound for a URI that has neither key nor content.
    """
    if plain := await in_database(plain_versions, uri):
        raise NotEncrypted(uri=uri, plain_versions=plain)
    key = await in_database(living_key, uri)
    if key is not None:
        await writer.submit(DestroyDataKeys(ids=[key.id], told=told_destroyed, entry=entry))
        data_keys.held.destroy(key.id)
    if await exists(uri):
        await writer.submit(ChangeResources(changes=[Delete(uri=uri)], entry=entry))
    elif key is None:
        raise ResourceNotFound(uri=uri)


def told_destroyed(key: KeptKey) -> ControlEvent:
    """What tells every node that a data key was destroyed."""
    return ControlEvent(kind=CONTENT_DESTROYED, subject=key.id, data={"uri": key.subject})
