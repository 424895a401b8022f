"""The provider `vault`: key-encryption keys in the Transit engine of HashiCorp Vault."""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

import hvac
from django.conf import settings
from hvac.exceptions import Forbidden, InvalidPath, InvalidRequest, Unauthorized, VaultError
from requests.exceptions import RequestException
from uuid_utils import uuid7

from encryption_app.envelope import Tampered
from encryption_app.errors import BadProvider, KeyServiceAway, KeyUnknown
from encryption_app.providers.interface import Provider

TIMEOUT_SECONDS = 2
KEY_TYPE = "aes256-gcm96"
NOT_FOUND = "not found"


class Vault(Provider):
    """A key of Transit for each key-encryption key. What is bound into a data key goes there as a hash."""

    def __init__(self, address: str, token: str, *, namespace: str = "", mount: str = "transit") -> None:
        if not (address and token):
            raise BadProvider("vault needs VAULT_ADDR and VAULT_TOKEN")
        self._client = hvac.Client(url=address, token=token, namespace=namespace or None, timeout=TIMEOUT_SECONDS)
        self._mount = mount

    @classmethod
    def by_settings(cls) -> Self:
        return cls(
            settings.VAULT_ADDR,
            settings.VAULT_TOKEN,
            namespace=settings.VAULT_NAMESPACE,
            mount=settings.VAULT_TRANSIT_MOUNT,
        )

    def create(self) -> str:
        id = f"erlmcp-{uuid7()}"
        self._write(f"keys/{id}", {"type": KEY_TYPE})
        return id

    def wrap(self, key_id: str, key: bytes, context: str) -> bytes:
        # Transit makes a key that it does not have
        self._prove(key_id)
        data = {"plaintext": base64.b64encode(key).decode(), "associated_data": _bound(context)}
        return str(self._write(f"encrypt/{key_id}", data)["ciphertext"]).encode()

    def unwrap(self, key_id: str, wrapped: bytes, context: str) -> bytes:
        data = {"ciphertext": wrapped.decode("ascii", "replace"), "associated_data": _bound(context)}
        return base64.b64decode(self._write(f"decrypt/{key_id}", data)["plaintext"])

    def destroy(self, key_id: str) -> None:
        try:
            self._write(f"keys/{key_id}/config", {"deletion_allowed": True})
            with _told():
                self._client.delete(f"{self._mount}/keys/{key_id}")
        except KeyUnknown:
            return

    def _prove(self, key_id: str) -> None:
        """Raise KeyUnknown for a key that Vault does not have."""
        with _told():
            if self._client.read(f"{self._mount}/keys/{key_id}") is None:
                raise KeyUnknown(f"Vault does not have the key {key_id}")

    def _write(self, path: str, data: Mapping[str, Any]) -> Mapping[str, Any]:
        with _told():
            answer = self._client.write_data(f"{self._mount}/{path}", data=dict(data))
        document = answer if isinstance(answer, dict) else {}
        return document.get("data") or {}


def _bound(context: str) -> str:
    return base64.b64encode(hashlib.sha256(context.encode()).digest()).decode()


@contextmanager
def _told() -> Iterator[None]:
    """What Vault says, in our words."""
    try:
        yield
    except InvalidPath as error:
        raise KeyUnknown("Vault does not have the key") from error
    except InvalidRequest as error:
        # Vault tells by words alone what was wrong
        if NOT_FOUND in str(error):
            raise KeyUnknown("Vault does not have the key") from error
        raise Tampered() from error
    except (Forbidden, Unauthorized) as error:
        raise BadProvider("Vault does not take the token") from error
    except (VaultError, RequestException) as error:
        raise KeyServiceAway(f"Vault: {type(error).__name__}") from error
