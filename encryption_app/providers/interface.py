"""What a provider of key-encryption keys can do. All of it blocks, and none of it is called in a transaction."""

from abc import ABC, abstractmethod
from typing import Self


class Provider(ABC):
    """Holds key-encryption keys, which never leave it, and wraps data keys under them.

    A `context` is bound into what is wrapped. Every method raises KeyServiceAway when the provider does not answer
    within seconds, and KeyUnknown for a key that it does not have (any more).
    """

    @classmethod
    @abstractmethod
    def by_settings(cls) -> Self:
        """The provider as it is configured. Raises BadProvider."""

    def first(self) -> str:
        """The id of the key-encryption key to begin with: one that an operator has brought, or a new one."""
        return self.create()

    @abstractmethod
    def create(self) -> str:
        """Make a key-encryption key. Returns its id, of at most 255 characters."""

    @abstractmethod
    def wrap(self, key_id: str, key: bytes, context: str) -> bytes:
        """A data key, wrapped."""

    @abstractmethod
    def unwrap(self, key_id: str, wrapped: bytes, context: str) -> bytes:
        """The data key again. Raises Tampered when it was not wrapped so, or for another context."""

    @abstractmethod
    def destroy(self, key_id: str) -> None:
        """Destroy a key-encryption key, or have it destroyed as soon as the provider allows. Twice is no error."""
