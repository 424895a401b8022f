"""The refusals of encryption, and what a command says that needs a key which is not at hand."""

from collections.abc import Iterable

from audit_app.errors import Again, InternalError, Refusal, Unavailable


class KeysMissing(Again):
    """A data key is needed that this process does not hold.

    `ids` are those that have to be fetched; `gone` those that were used, and have been destroyed meanwhile.
    """

    def __init__(self, ids: Iterable[str] = (), gone: Iterable[str] = ()) -> None:
        super().__init__()
        self.ids = frozenset(ids)
        self.gone = frozenset(gone)


class KeysAway(Unavailable):
    """The key provider cannot do its work.

    `why` is for operators. `is_lost`: the provider has answered, and does not have the key-encryption key; an operator
    may bring it back.
    """

    def __init__(self, why: str, *, is_lost: bool = False, retry_after: float | None = None) -> None:
        super().__init__(retry_after=retry_after)
        self.why = why
        self.is_lost = is_lost


class ContentDestroyed(Refusal):
    """The content was destroyed for good: its data key does not exist any more."""

    code = "resource_not_found"

    def __init__(self) -> None:
        super().__init__(content_destroyed=True)


class ContentTampered(InternalError):
    """What is kept of this is not what was written; the operator has been told."""


class KeyInUse(Refusal):
    """The key cannot be destroyed."""

    code = "invalid_request"


class BadProvider(Exception):
    """A provider cannot work as it is configured."""


class KeyUnknown(Exception):
    """The provider has no such key-encryption key."""


class KeyServiceAway(Exception):
    """The provider does not answer now."""
