"""The codes that a socket is closed with (contract §5)."""

from enum import IntEnum


class CloseCode(IntEnum):
    """Why we closed a socket."""

    TOO_LARGE = 1009
    DRAIN = 1012
    TRY_AGAIN_LATER = 1013
    BAD_MESSAGE = 4400
    UNAUTHENTICATED = 4401
    FORBIDDEN = 4403
    AUTHENTICATION_TIMEOUT = 4408
    SLOW_READER = 4413
    RATE = 4429
