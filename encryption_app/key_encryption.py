"""Key-encryption keys: which one is current, the first one, and the next one."""

from audit_app.database import in_database
from audit_app.errors import Unavailable
from audit_app.system import system_entry
from audit_app.trail import Entry
from audit_app.writer import writer
from encryption_app.commands import AddKeyEncryptionKey, DestroyKeyEncryptionKey
from encryption_app.queries import key_encryption_keys
from encryption_app.services import Service


async def current_key(service: Service) -> str:
    """The id of the key that wraps what is new, made when the provider has none yet. Raises Unavailable."""
    for _ in range(2):
        found = [key for key in await in_database(key_encryption_keys, service.name) if key.destroyed_at is None]
        if found:
            return found[0].key_id
        await add_key(service, system_entry("encryption/rotate", "provider", service.name))
    raise Unavailable("There is no key-encryption key.")


async def add_key(service: Service, entry: Entry) -> str | None:
    """Make a key and have it wrap what is new; None when another node did so at the same time. Raises Unavailable.

    The first one may be there already, because an operator has brought it.
    """
    kept = await in_database(key_encryption_keys, service.name)
    key_id = await service.call(lambda provider: provider.create() if kept else provider.first())
    number = kept[0].number + 1 if kept else 1
    command = AddKeyEncryptionKey(provider=service.name, number=number, key_id=key_id, entry=entry)
    if await writer.submit(command):
        return key_id
    if key_id not in {key.key_id for key in await in_database(key_encryption_keys, service.name)}:
        await service.call(lambda provider: provider.destroy(key_id))
    return None


async def destroy_key(service: Service, key_id: str, entry: Entry) -> None:
    """Destroy a retired key for good. Raises KeyInUse while anything is wrapped by it, and Unavailable."""
    await writer.submit(DestroyKeyEncryptionKey(provider=service.name, key_id=key_id, entry=entry))
    await service.call(lambda provider: provider.destroy(key_id))
