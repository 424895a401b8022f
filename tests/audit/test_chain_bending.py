"""Whoever bends the trail with plain SQL is found, and the first entry that is bent is named (quality 18)."""

import random
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import connections

from audit_app.bulk import table_of
from audit_app.chain.canonical import FIELDS, ZEROS, digest, hash_of
from audit_app.chain.checkpoints import leaves, sign_trail
from audit_app.chain.keys import LocalSigner, parse_public_keys
from audit_app.chain.merkle import root_of
from audit_app.chain.rows import ENTRIES, portions
from audit_app.chain.statements import Signed, Statement, parse_payload
from audit_app.chain.verify import verify
from audit_app.models import AuditEntry, Checkpoint, TrailHead
from audit_app.mover import move_entries
from tests.audit.conftest import Leave

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "audit"])

SIGNED = 3
"""Checkpoints in a trail; entries that nobody has signed yet come behind the last of them."""


@pytest.fixture
def trail(leave: Leave, dice: random.Random) -> list[int]:
    """A trail with checkpoints; where each of those ends, and at last where the trail ends."""
    ends = []
    for _ in range(SIGNED):
        leave(dice.randint(5, 30), action="resources/write", user="alice", details={"note": "as it was"})
        move_entries()
        signed = sign_trail()
        assert signed is not None
        ends.append(signed.statement.last)
    leave(dice.randint(3, 10))
    move_entries()
    report = verify()
    assert report.bent is None
    assert (report.entries, report.checkpoints) == (AuditEntry.objects.count(), SIGNED)
    return [*ends, report.last]


def sql(query: str, *values: Any, using: str = "audit") -> None:
    with connections[using].cursor() as cursor:
        cursor.execute(query, values)


def found(**wanted: Any) -> tuple[int, str]:
    """The first bent entry and the kind of bending."""
    report = verify(**wanted)
    assert report.bent is not None, "nothing was found"
    return report.bent.sequence, report.bent.kind


def shift(behind: int, by: int) -> None:
    """Renumber the entries behind one, past the unique index."""
    sql("UPDATE audit_app_auditentry SET sequence = -sequence WHERE sequence > %s", behind)
    sql("UPDATE audit_app_auditentry SET sequence = -sequence + %s WHERE sequence < 0", by)


def rechain(first: int) -> None:
    """What somebody does who knows how hashes are made: make them all again, up to the trail's head."""
    before = AuditEntry.objects.filter(sequence=first - 1).first()
    prev_hash = str(before.hash) if before else ZEROS
    last = first - 1
    for portion in portions(ENTRIES, first - 1, 2**62):
        for row in portion:
            last, hash = row[0], hash_of(row[1:-2], row[0], prev_hash)
            sql("UPDATE audit_app_auditentry SET prev_hash = %s, hash = %s WHERE sequence = %s", prev_hash, hash, last)
            prev_hash = hash
    sql("UPDATE audit_app_trailhead SET head = %s, hash = %s", last, prev_hash)


def bribe_the_witness() -> None:
    head = TrailHead.objects.get()
    sql("UPDATE audit_app_witness SET sequence = %s, hash = %s", head.head, head.hash, using="default")


def range_of(sequence: int, ends: list[int]) -> int:
    """The first entry of the checkpoint that covers this one."""
    return max((end for end in ends[:SIGNED] if end < sequence), default=0) + 1


OTHER_VALUES = {
    "timestamp": "2001-02-03 04:05:06.000007+00:00",
    "queue": 3,
    "outcome": "error",
    "details": '{"note":"as it should have been"}',
}


@pytest.mark.parametrize("field", FIELDS)
def test_a_changed_field_is_found(trail: list[int], dice: random.Random, field: str) -> None:
    sequence = dice.randint(1, trail[-1])
    value = OTHER_VALUES.get(field, "other")
    (column,) = table_of(AuditEntry, field).columns
    sql(f'UPDATE audit_app_auditentry SET "{column}" = %s WHERE sequence = %s', value, sequence)
    assert found() == (sequence, "changed")


@pytest.mark.parametrize("field", ["hash", "prev_hash"])
@pytest.mark.parametrize("value", ["0" * 64, "", None])
def test_a_changed_hash_is_found(trail: list[int], dice: random.Random, field: str, value: str | None) -> None:
    sequence = dice.randint(2, trail[-1])
    sql(f"UPDATE audit_app_auditentry SET {field} = %s WHERE sequence = %s", value, sequence)
    assert found() == (sequence, "changed")


def test_the_first_of_many_changes_is_named(trail: list[int], dice: random.Random) -> None:
    changed = dice.sample(range(1, trail[-1] + 1), 5)
    for sequence in changed:
        sql("UPDATE audit_app_auditentry SET user_name = 'mallory' WHERE sequence = %s", sequence)
    assert found() == (min(changed), "changed")


def test_deleted_entries_are_missed(trail: list[int], dice: random.Random) -> None:
    first = dice.randint(1, trail[-1])
    last = dice.randint(first, trail[-1])
    sql("DELETE FROM audit_app_auditentry WHERE sequence >= %s AND sequence <= %s", first, last)
    assert found() == (first, "missing")


def test_a_deleted_entry_is_missed_when_the_others_close_ranks(trail: list[int], dice: random.Random) -> None:
    sequence = dice.randint(1, trail[-1] - 1)
    sql("DELETE FROM audit_app_auditentry WHERE sequence = %s", sequence)
    shift(sequence, -1)
    assert found() == (sequence, "changed")


def test_a_tail_cut_off_is_missed(trail: list[int], dice: random.Random) -> None:
    last = dice.randint(0, trail[-1] - 1)
    sql("DELETE FROM audit_app_auditentry WHERE sequence > %s", last)
    assert found() == (last + 1, "missing")


def cut(last: int) -> None:
    """Cut off the tail, and set the head back to match."""
    sql("DELETE FROM audit_app_auditentry WHERE sequence > %s", last)
    entry = AuditEntry.objects.filter(sequence=last).first()
    sql("UPDATE audit_app_trailhead SET head = %s, hash = %s", last, entry.hash if entry else ZEROS)


def test_the_main_database_remembers_a_tail_that_nobody_signed(trail: list[int], dice: random.Random) -> None:
    last = dice.randint(trail[SIGNED - 1], trail[-1] - 1)
    cut(last)
    assert found() == (last + 1, "missing")


def test_a_tail_that_nobody_signed_is_still_missed_when_others_grow_in_its_place(
    trail: list[int], dice: random.Random, leave: Leave
) -> None:
    last = dice.randint(trail[SIGNED - 1], trail[-1] - 1)
    cut(last)
    leave(trail[-1])
    move_entries()
    assert AuditEntry.objects.count() > trail[-1]
    assert found() == (trail[-1], "witness")
    sign_trail()
    leave(1)
    move_entries()
    assert found() == (trail[-1], "witness")


def test_checkpoints_remember_a_tail_that_nobody_else_does(trail: list[int], dice: random.Random) -> None:
    last = dice.randint(0, trail[SIGNED - 1] - 1)
    cut(last)
    bribe_the_witness()
    assert found() == (last + 1, "missing")


def test_the_second_place_remembers_checkpoints_that_were_cut_off_too(trail: list[int], dice: random.Random) -> None:
    kept = dice.randint(0, SIGNED - 1)
    cut(trail[kept - 1] if kept else 0)
    bribe_the_witness()
    sql("DELETE FROM audit_app_checkpoint WHERE number > %s", kept)
    assert found() == ((trail[kept - 1] if kept else 0) + 1, "checkpoint")


def test_an_emptied_trail_is_missed(trail: list[int]) -> None:
    for table in ("auditentry", "trailhead", "checkpoint", "checkpointkey"):
        sql(f"DELETE FROM audit_app_{table}")
    assert found() == (1, "checkpoint")


def copy_entry(sequence: int, to: int) -> None:
    """Insert an entry at `to` that looks like another one."""
    columns = ENTRIES.columns[2:]
    names = ", ".join(f'"{column}"' for column in columns)
    sql(
        f"INSERT INTO audit_app_auditentry (sequence, id, {names}) SELECT %s, 'made-up', {names}"
        " FROM audit_app_auditentry WHERE sequence = %s",
        to,
        sequence,
    )


def test_an_inserted_entry_is_found(trail: list[int], dice: random.Random) -> None:
    sequence = dice.randint(1, trail[-1] - 1)
    shift(sequence, 1)
    copy_entry(sequence, sequence + 1)
    sql("UPDATE audit_app_trailhead SET head = head + 1")
    assert found() == (sequence + 1, "changed")


@pytest.mark.parametrize("place", [0, -7])
def test_an_entry_before_the_first_is_found(trail: list[int], dice: random.Random, place: int) -> None:
    copy_entry(dice.randint(1, trail[-1]), place)
    assert found() == (place, "surplus")


def test_an_entry_behind_the_head_is_found(trail: list[int], dice: random.Random) -> None:
    place = trail[-1] + dice.randint(1, 10)
    copy_entry(dice.randint(1, trail[-1]), place)
    assert found() == (place, "surplus")


def test_entries_that_swapped_places_are_found(trail: list[int], dice: random.Random) -> None:
    one, other = sorted(dice.sample(range(1, trail[-1] + 1), 2))
    sql("UPDATE audit_app_auditentry SET sequence = -1 WHERE sequence = %s", one)
    sql("UPDATE audit_app_auditentry SET sequence = %s WHERE sequence = %s", one, other)
    sql("UPDATE audit_app_auditentry SET sequence = %s WHERE sequence = -1", other)
    assert found() == (one, "changed")


def test_entries_in_another_order_are_found(trail: list[int], dice: random.Random) -> None:
    first = dice.randint(1, trail[-1] - 2)
    some = list(range(first, min(first + 6, trail[-1]) + 1))
    order = some[1:] + some[:1]
    for place, sequence in zip(some, order, strict=True):
        sql("UPDATE audit_app_auditentry SET sequence = %s WHERE sequence = %s", -place, sequence)
    sql("UPDATE audit_app_auditentry SET sequence = -sequence WHERE sequence < 0")
    assert found() == (first, "changed")


def replace_alone(sequence: int) -> None:
    """Change an entry and make its hash again, and nobody else's."""
    rest = list(AuditEntry.objects.filter(sequence__gt=sequence).values_list("sequence", "prev_hash", "hash"))
    head = TrailHead.objects.get()
    sql("UPDATE audit_app_auditentry SET user_name = 'mallory' WHERE sequence = %s", sequence)
    rechain(sequence)
    for number, prev_hash, hash in rest:
        sql("UPDATE audit_app_auditentry SET prev_hash = %s, hash = %s WHERE sequence = %s", prev_hash, hash, number)
    sql("UPDATE audit_app_trailhead SET head = %s, hash = %s", head.head, head.hash)


def test_an_entry_with_a_new_hash_does_not_fit_the_next_one(trail: list[int], dice: random.Random) -> None:
    # not one that a checkpoint ends with: there, the checkpoint tells
    sequence = dice.choice([number for number in range(1, trail[-1]) if number not in trail])
    replace_alone(sequence)
    assert found() == (sequence, "unlinked")


def test_the_last_entry_of_a_checkpoint_with_a_new_hash_is_not_what_was_signed(
    trail: list[int], dice: random.Random
) -> None:
    number = dice.randint(1, SIGNED)
    replace_alone(trail[number - 1])
    assert found() == (range_of(trail[number - 1], trail), "checkpoint")


def test_a_hostile_administrator_who_makes_all_hashes_again_has_no_key(trail: list[int], dice: random.Random) -> None:
    sequence = dice.randint(1, trail[SIGNED - 1])
    sql("UPDATE audit_app_auditentry SET user_name = 'mallory' WHERE sequence = %s", sequence)
    rechain(sequence)
    bribe_the_witness()
    assert found() == (range_of(sequence, trail), "checkpoint")


def test_new_hashes_behind_the_last_checkpoint_are_not_those_of_the_witness(
    trail: list[int], dice: random.Random
) -> None:
    sequence = dice.randint(trail[SIGNED - 1] + 1, trail[-1])
    sql("UPDATE audit_app_auditentry SET user_name = 'mallory' WHERE sequence = %s", sequence)
    rechain(sequence)
    assert found() == (trail[-1], "witness")


def test_the_witness_is_not_talked_out_of_it_by_what_is_moved_later(
    trail: list[int], dice: random.Random, leave: Leave
) -> None:
    sequence = dice.randint(trail[SIGNED - 1] + 1, trail[-1])
    sql("UPDATE audit_app_auditentry SET user_name = 'mallory' WHERE sequence = %s", sequence)
    rechain(sequence)
    for _ in range(2):
        leave(2)
        move_entries()
        sign_trail()
        assert found() == (trail[-1], "witness")


def test_a_witness_that_is_gone_is_missed(trail: list[int]) -> None:
    sql("DELETE FROM audit_app_witness", using="default")
    assert found() == (trail[-1], "witness")


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ("UPDATE audit_app_trailhead SET hash = 'x'", "head"),
        ("UPDATE audit_app_trailhead SET head = head + 1", "missing"),
        ("UPDATE audit_app_trailhead SET head = 1", "missing"),
        ("DELETE FROM audit_app_trailhead", "missing"),
    ],
)
def test_a_changed_head_is_found(trail: list[int], change: str, kind: str) -> None:
    sql(change)
    assert found()[1] == kind


@pytest.mark.parametrize(
    "change",
    [
        """UPDATE audit_app_checkpoint SET payload = replace(payload, '"version":1', '"version":2')""",
        """UPDATE audit_app_checkpoint SET payload = replace(payload, '"origin":"e', '"origin":"E')""",
        "UPDATE audit_app_checkpoint SET payload = payload || ' '",
        "UPDATE audit_app_checkpoint SET payload = ''",
        "UPDATE audit_app_checkpoint SET signature = CASE substr(signature, 1, 1) WHEN '0' THEN '1' ELSE '0' END"
        " || substr(signature, 2)",
        "UPDATE audit_app_checkpoint SET signature = ''",
        "UPDATE audit_app_checkpoint SET first = first + 1",
        "UPDATE audit_app_checkpoint SET last = last - 1",
        "UPDATE audit_app_checkpoint SET number = number + 1000",
        "DELETE FROM audit_app_checkpoint",
    ],
)
def test_a_changed_checkpoint_is_found(trail: list[int], dice: random.Random, change: str) -> None:
    number = dice.randint(1, SIGNED)
    sql(f"{change} WHERE number = %s", number)
    assert found() == (range_of(trail[number - 1], trail), "checkpoint")


def test_checkpoints_that_swapped_places_are_found(trail: list[int], dice: random.Random) -> None:
    one, other = sorted(dice.sample(range(1, SIGNED + 1), 2))
    sql("UPDATE audit_app_checkpoint SET number = -1 WHERE number = %s", one)
    sql("UPDATE audit_app_checkpoint SET number = %s WHERE number = %s", one, other)
    sql("UPDATE audit_app_checkpoint SET number = %s WHERE number = -1", other)
    assert found() == (range_of(trail[one - 1], trail), "checkpoint")


def forge_checkpoints(signer: LocalSigner) -> list[Signed]:
    """Sign the trail as it is now with another key, and have the database know that key."""
    sql("DELETE FROM audit_app_checkpointkey")
    sql("INSERT INTO audit_app_checkpointkey (id, public_key) VALUES (%s, %s)", signer.id, signer.public_key)
    previous, forged = ZEROS, []
    for checkpoint in Checkpoint.objects.order_by("number"):
        old = parse_payload(checkpoint.payload)
        statement = Statement(
            origin=old.origin,
            number=old.number,
            first=old.first,
            last=old.last,
            root=root_of(leaves(old.first, old.last)).hex(),
            head=str(AuditEntry.objects.get(sequence=old.last).hash),
            at=old.at,
            previous=previous,
            key=signer.id,
        )
        signature = signer.sign(statement.payload)
        sql(
            "UPDATE audit_app_checkpoint SET payload = %s, signature = %s WHERE number = %s",
            statement.payload.decode(),
            signature,
            old.number,
        )
        previous = digest(statement.payload)
        forged.append(Signed(statement, signature))
    return forged


def forge_all(trail: list[int], dice: random.Random) -> list[Signed]:
    sequence = dice.randint(1, trail[SIGNED - 1])
    sql("UPDATE audit_app_auditentry SET user_name = 'mallory' WHERE sequence = %s", sequence)
    rechain(sequence)
    bribe_the_witness()
    return forge_checkpoints(LocalSigner(Ed25519PrivateKey.generate()))


def test_the_second_place_tells_forged_checkpoints(trail: list[int], dice: random.Random) -> None:
    forge_all(trail, dice)
    assert found() == (1, "checkpoint")


def test_a_pinned_key_tells_checkpoints_that_were_forged_in_both_places(
    trail: list[int], dice: random.Random, second_place: Path
) -> None:
    pinned = parse_public_keys(second_place.with_name("checkpoints.jsonl.keys").read_bytes())
    forged = forge_all(trail, dice)
    second_place.write_bytes(b"".join(orjson.dumps(signed.as_json()) + b"\n" for signed in forged))
    assert found(pinned=pinned) == (1, "checkpoint")
    report = verify()
    assert set(report.keys.values()) == {"database"}, "a key that only the database has is not said to be one"


@pytest.mark.parametrize("how", ["changed", "gone", "garbage", "endless"])
def test_a_changed_second_place_is_found(trail: list[int], dice: random.Random, second_place: Path, how: str) -> None:
    lines = second_place.read_bytes().splitlines(keepends=True)
    number = dice.randint(1, SIGNED - 1)
    if how == "gone":
        del lines[number - 1]
    elif how == "endless":
        lines[number - 1] = b" " * 200_000
    else:
        lines[number - 1] = lines[number - 1].replace(b'"first":', b'"first":1') if how == "changed" else b"\xff{\n"
    second_place.write_bytes(b"".join(lines))
    assert found()[1] == "checkpoint"


def test_a_checkpoint_that_an_entry_tells_of_is_missed_even_when_both_places_lost_it(
    trail: list[int], second_place: Path
) -> None:
    sql("DELETE FROM audit_app_checkpoint WHERE number = %s", SIGNED)
    lines = second_place.read_bytes().splitlines(keepends=True)
    second_place.write_bytes(b"".join(lines[: SIGNED - 1]))
    told = AuditEntry.objects.get(action="audit/checkpoint", resource_id=f"checkpoint/{SIGNED}")
    assert found() == (told.sequence, "checkpoint")


@pytest.mark.parametrize("told", ["checkpoint/99", "checkpoint/x", "checkpoint/99999999999999999999", ""])
def test_an_entry_that_tells_of_a_checkpoint_that_never_was_is_found(trail: list[int], leave: Leave, told: str) -> None:
    leave(action="audit/checkpoint", transport="system", resource_id=told)
    move_entries()
    assert found() == (trail[-1] + 1, "checkpoint")


def test_values_that_no_mover_writes_are_changes_like_others(trail: list[int], dice: random.Random) -> None:
    sequence = dice.randint(1, trail[-1])
    if connections["audit"].vendor == "sqlite":
        value = dice.choice(["X'ff00'", "CAST(X'ff' AS TEXT)"])
        sql(f"UPDATE audit_app_auditentry SET user_agent = {value} WHERE sequence = %s", sequence)
    else:
        sql("UPDATE audit_app_auditentry SET \"timestamp\" = 'infinity' WHERE sequence = %s", sequence)
    assert found() == (sequence, "changed")


def test_an_entry_that_stands_at_a_number_twice_is_found(trail: list[int], dice: random.Random) -> None:
    sequence = dice.randint(1, trail[-1])
    sql("ALTER TABLE audit_app_auditentry RENAME TO elsewhere")
    try:
        # without the unique index
        sql("CREATE TABLE audit_app_auditentry AS SELECT * FROM elsewhere")
        copy_entry(sequence, sequence)
        assert found()[0] == sequence
    finally:
        sql("DROP TABLE audit_app_auditentry")
        sql("ALTER TABLE elsewhere RENAME TO audit_app_auditentry")
