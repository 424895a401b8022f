"""What the nodes tell each other about a session: its boxes (sessions_app/mail), and the ids of events."""

from typing import Final, NamedTuple

from mcp_types import RequestId

from sessions_app.mail.letters import Letter

ANSWER: Final = "answer"
CANCELLED: Final = "cancelled"
STREAM: Final = "stream"

OF_POST: Final = "p"
"""How the ids of events begin that belong to the answer to a POST."""


class Place(NamedTuple):
    """Where an event is: the stream that it belongs to, and its number there; 0 is before all messages."""

    stream: str
    number: int


def answer_box(id: RequestId) -> str:
    """Where the answer of the client to a request of ours goes."""
    return f"{ANSWER}:{id}"


def cancelled_box(id: RequestId) -> str:
    """Where it says that a request of the client is cancelled. Numbers and texts are ids of their own."""
    return f"{CANCELLED}:{type(id).__name__}:{id}"


def cancelled_id(box: str) -> RequestId | None:
    """The id in such a box."""
    kind, _, rest = box.partition(":")
    type_name, _, id = rest.partition(":")
    if kind != CANCELLED:
        return None
    return int(id) if type_name == "int" else id


def stream_box(place: Place, *, is_last: bool = False) -> str:
    """Where a message of a stream goes."""
    return f"{STREAM}:{place.stream}:{place.number}:{'last' if is_last else ''}"


def read_stream_box(letter: Letter, stream: str) -> tuple[int, bool] | None:
    """The number of a message in a stream, and whether it is the last; None for a letter that is no part of that."""
    match letter.box.split(":"):
        case [kind, name, number, last] if kind == STREAM and name == stream:
            return int(number), bool(last)
    return None


def event_id(place: Place) -> str:
    """The id of an event."""
    return f"{OF_POST}.{place.stream}.{place.number}"


def read_event_id(text: str) -> Place | None:
    """The place of an event by its id; None for the id of an event of no POST."""
    match text.split("."):
        case [kind, stream, number] if kind == OF_POST and number.isdecimal() and len(number) < 10:
            return Place(stream, int(number))
    return None
