"""What a failed transaction means for the next attempt: the category of an error (seed §9.2)."""

from django.db import DatabaseError, InterfaceError, OperationalError

from audit_app.errors import Category, Refusal

UNIQUE_VIOLATION = "23505"

# PostgreSQL says what happened by SQLSTATE; its first two characters are a class
LOST = frozenset({"57P01", "57P02", "57P03", "53300"})
LOST_CLASS = "08"
BLOCKED = frozenset({"40001", "40P01", "55P03", "57014"})
HELPLESS = frozenset({"25006"})
HELPLESS_CLASSES = frozenset({"53", "58"})

# SQLite does by result code, whose lowest byte is the primary one: busy, locked, protocol; then what only an operator
# can change: no memory, read-only, I/O error, full, cannot open
SQLITE_BLOCKED = frozenset({5, 6, 15})
SQLITE_HELPLESS = frozenset({7, 8, 10, 13, 14})


def category_of(error: BaseException) -> Category:
    """What can be done about an error.

    retryable: the same work may well succeed in a moment: a lost connection, a server that starts or stops, a deadlock,
    SQLite's "locked". recoverable: the database answers, but it cannot take the work before an operator has helped, and
    takes it then without a restart: no room on the disk, no memory, read-only. fatal: everything else.
    """
    if isinstance(error, Refusal):
        return error.category
    if not isinstance(error, DatabaseError | InterfaceError):
        return "fatal"
    state, code = _state(error), _sqlite_code(error)
    if is_away(error) or state in BLOCKED or code in SQLITE_BLOCKED:
        return "retryable"
    if state in HELPLESS or (state and state[:2] in HELPLESS_CLASSES) or code in SQLITE_HELPLESS:
        return "recoverable"
    return "fatal"


def is_away(error: BaseException) -> bool:
    """Whether the database did not answer at all, or said that it will not for now."""
    if not isinstance(error, OperationalError | InterfaceError) or _sqlite_code(error) is not None:
        return False
    # an error that no server has numbered comes from the driver, which found none
    state = _state(error)
    return state is None or state in LOST or state.startswith(LOST_CLASS)


def passes(error: BaseException) -> bool:
    """Whether the work itself is not at fault: it may succeed if it is tried again, now or later."""
    return category_of(error) != "fatal"


def lost_race(error: BaseException) -> bool:
    """Whether another node took a unique key first; a second look then finds that node's row."""
    state = _state(error)
    return state == UNIQUE_VIOLATION if state else "unique" in str(error).lower()


def _state(error: BaseException) -> str | None:
    state = getattr(error.__cause__ or error, "sqlstate", None)
    return state if isinstance(state, str) else None


def _sqlite_code(error: BaseException) -> int | None:
    code = getattr(error.__cause__ or error, "sqlite_errorcode", None)
    return code & 0xFF if isinstance(code, int) else None
