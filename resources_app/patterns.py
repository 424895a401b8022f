"""What may be followed: one URI, everything below one (`/*`), or one level below one (`/+`) (contract §4)."""

from dataclasses import dataclass
from enum import StrEnum

from resources_app.errors import InvalidUri
from resources_app.uris import MAX_URI_BYTES, normalise


class Reach(StrEnum):
    """How far a pattern reaches."""

    EXACT = ""
    BELOW = "*"
    LEVEL = "+"


@dataclass(frozen=True, slots=True)
class Pattern:
    """A URI, or a prefix that ends in "/" with a reach."""

    prefix: str
    reach: Reach

    @property
    def is_exact(self) -> bool:
        return self.reach is Reach.EXACT

    @property
    def end(self) -> str:
        """The first text, in byte order, behind all that begins with the prefix; not for exact patterns."""
        return self.prefix[:-1] + "0"

    def covers(self, uri: str) -> bool:
        """Whether a (normalised) resource URI matches."""
        if self.reach is Reach.EXACT:
            return uri == self.prefix
        if not uri.startswith(self.prefix) or len(uri) == len(self.prefix):
            return False
        return self.reach is Reach.BELOW or "/" not in uri[len(self.prefix) :]

    def __str__(self) -> str:
        return self.prefix + self.reach.value


def parse_pattern(text: str) -> Pattern:
    """The pattern that a subscription names.

    Raises InvalidUri.
    """
    for reach in (Reach.BELOW, Reach.LEVEL):
        ending = "/" + reach.value
        if text.endswith(ending):
            prefix = normalise(text.removesuffix(ending), pattern_base=True) + "/"
            if len(prefix) >= MAX_URI_BYTES:
                raise InvalidUri(f"The pattern is longer than {MAX_URI_BYTES} bytes.")
            return Pattern(prefix, reach)
    return Pattern(normalise(text), Reach.EXACT)
