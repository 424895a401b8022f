"""What errors of a real database mean for the next attempt."""

import socket
import sqlite3

import psycopg
import pytest
from django.conf import settings
from django.db import DatabaseError, IntegrityError, InterfaceError, OperationalError, connection, transaction

from audit_app.errors import InternalError, InvalidParams, Refusal, Unavailable
from audit_app.failures import category_of, is_away, lost_race, passes
from audit_app.recovery import refusal_of

pytestmark = pytest.mark.django_db(transaction=True)

on_sqlite = pytest.mark.skipif(not settings.ON_SQLITE, reason="PostgreSQL numbers its errors otherwise")
on_postgresql = pytest.mark.skipif(settings.ON_SQLITE, reason="SQLite has other errors")


def failing(*statements: str) -> DatabaseError:
    """The error of the last statement."""
    with pytest.raises(DatabaseError) as failed, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
    return failed.value


def raising(state: str) -> DatabaseError:
    """The error that PostgreSQL raises with a SQLSTATE."""
    return failing(f"DO $$ BEGIN RAISE EXCEPTION 'failed' USING ERRCODE = '{state}'; END $$")


@on_postgresql
@pytest.mark.parametrize(
    ("state", "category", "away"),
    [
        ("40001", "retryable", False),
        ("40P01", "retryable", False),
        ("55P03", "retryable", False),
        ("57P01", "retryable", True),
        ("57P02", "retryable", True),
        ("57P03", "retryable", True),
        ("53300", "retryable", True),
        ("08006", "retryable", True),
        ("53100", "recoverable", False),
        ("53200", "recoverable", False),
        ("58030", "recoverable", False),
        ("25006", "recoverable", False),
        ("57014", "retryable", False),
        ("23505", "fatal", False),
        ("22001", "fatal", False),
        ("42P01", "fatal", False),
        ("XX000", "fatal", False),
    ],
)
def test_what_postgresql_says_by_its_states(state: str, category: str, away: bool) -> None:
    error = raising(state)
    assert (category_of(error), is_away(error)) == (category, away)


@on_postgresql
def test_a_server_that_is_not_there_is_away() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(OperationalError) as failed, connection.wrap_database_errors:
            psycopg.connect(host="127.0.0.1", port=bound.getsockname()[1])
    assert (category_of(failed.value), is_away(failed.value)) == ("retryable", True)


@on_postgresql
def test_a_connection_that_is_closed_under_its_user_is_away() -> None:
    connection.ensure_connection()
    connection.connection.close()
    try:
        with pytest.raises((OperationalError, InterfaceError)) as failed, connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    finally:
        connection.close()
    assert (category_of(failed.value), is_away(failed.value)) == ("retryable", True)


@on_sqlite
def test_a_file_that_may_not_grow_is_full_until_it_may() -> None:
    fill = "INSERT INTO crowded SELECT randomblob(20000000)"
    try:
        full = failing("CREATE TABLE crowded (bytes)", "PRAGMA max_page_count = 1", fill)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA max_page_count = 4294967294")
            cursor.execute(fill)
            cursor.execute("DROP TABLE crowded")
    assert (category_of(full), is_away(full)) == ("recoverable", False)


@on_sqlite
def test_a_file_that_may_only_be_read_is_for_an_operator() -> None:
    try:
        error = failing("PRAGMA query_only = 1", "CREATE TABLE another (n)")
    finally:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA query_only = 0")
    assert (category_of(error), is_away(error)) == ("recoverable", False)


@on_sqlite
def test_a_locked_file_is_free_again_in_a_moment() -> None:
    other = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        error = failing("PRAGMA busy_timeout = 0", "CREATE TABLE another (n)")
    finally:
        other.close()
        connection.close()
    assert (category_of(error), is_away(error)) == ("retryable", False)


@pytest.mark.parametrize("statement", ["SELEC 1", "SELECT nothing FROM nowhere"])
def test_what_the_database_does_not_understand_is_our_mistake(statement: str) -> None:
    error = failing(statement)
    assert category_of(error) == "fatal"
    assert not passes(error)
    assert not is_away(error)


def test_a_key_that_somebody_took_first_is_a_lost_race() -> None:
    with pytest.raises(IntegrityError) as failed, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE taken (id integer PRIMARY KEY)")
        cursor.execute("INSERT INTO taken VALUES (1)")
        cursor.execute("INSERT INTO taken VALUES (1)")
    assert lost_race(failed.value)
    assert category_of(failed.value) == "fatal"


@pytest.mark.parametrize("error", [ValueError("locked"), RuntimeError("the connection is closed"), DatabaseError("?")])
def test_what_is_no_failure_of_a_database_is_ours(error: Exception) -> None:
    assert category_of(error) == "fatal"
    assert isinstance(refusal_of(error), InternalError)


@pytest.mark.parametrize(
    ("refusal", "category"), [(Unavailable(), "retryable"), (InternalError(), "fatal"), (InvalidParams(), "fatal")]
)
def test_a_refusal_says_itself_what_it_is(refusal: Refusal, category: str) -> None:
    assert category_of(refusal) == category
