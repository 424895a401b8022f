"""What a failed transaction means for the next attempt."""

PASSING_STATES = frozenset({"40001", "40P01", "55P03", "57014", "57P01", "57P02", "57P03", "53300"})
UNIQUE_VIOLATION = "23505"


def passes(error: BaseException) -> bool:
    """Whether the same work may well succeed if it is tried again.

    True for lost connections, deadlocks, a server that starts or stops, and SQLite's "locked".
    """
    state = _state(error)
    if state:
        return state in PASSING_STATES or state.startswith("08")
    text = str(error).lower()
    return "locked" in text or "connection" in text or "closed" in text


def lost_race(error: BaseException) -> bool:
    """Whether another node took a unique key first; a second look then finds that node's row."""
    state = _state(error)
    return state == UNIQUE_VIOLATION if state else "unique" in str(error).lower()


def _state(error: BaseException) -> str | None:
    state = getattr(error.__cause__ or error, "sqlstate", None)
    return state if isinstance(state, str) else None
