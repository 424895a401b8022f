"""A proof of one entry is checked with nothing but the proof and the public key."""

import copy
import os
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connections

from audit_app.chain.checkpoints import sign_trail
from audit_app.chain.keys import PublicKeys, local_signer, parse_public_keys
from audit_app.chain.proofs import NotProvable, NotProven, check_proof, prove
from audit_app.models import AuditEntry
from audit_app.mover import move_entries
from tests.audit.conftest import Leave

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "audit"])


@pytest.fixture
def keys(leave: Leave, second_place: Path, dice: random.Random) -> PublicKeys:
    """The keys of a trail of two checkpoints."""
    for _ in range(2):
        leave(dice.randint(1, 40), details={"ä": [1.5, "\n"], "n": 2**60})
        move_entries()
        sign_trail()
    return parse_public_keys(second_place.with_name("checkpoints.jsonl.keys").read_bytes())


def proof_of(sequence: int) -> dict[str, Any]:
    proof: dict[str, Any] = orjson.loads(orjson.dumps(prove(AuditEntry.objects.get(sequence=sequence).id)))
    return proof


def test_every_entry_that_is_signed_can_be_proven(keys: PublicKeys) -> None:
    signed = AuditEntry.objects.exclude(resource_id="checkpoint/2").order_by("sequence")
    for entry in signed:
        proven = check_proof(orjson.dumps(prove(entry.id)), keys)
        assert proven.record["id"] == entry.id
        assert proven.statement.first <= entry.sequence <= proven.statement.last


def test_the_program_in_the_documentation_proves_entries_and_nothing_else(
    keys: PublicKeys, dice: random.Random, second_place: Path, tmp_path: Path
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (settings.BASE_DIR / "docs/audit-chain.md").read_text(), re.DOTALL)
    program, path, key = tmp_path / "program.py", tmp_path / "proof.json", tmp_path / "key.pem"
    program.write_text(code)
    key.write_bytes(second_place.with_name("checkpoints.jsonl.keys").read_bytes())
    for bends in (False, True):
        proof = proof_of(dice.randint(1, AuditEntry.objects.count() - 1))
        proof["entry"]["user"] += "x" * bends
        path.write_bytes(orjson.dumps(proof))
        command = [sys.executable, str(program), str(path), str(key)]
        done = subprocess.run(command, capture_output=True, timeout=60, check=False)
        assert (done.returncode == 0) is not bends, done.stderr.decode()


def test_what_is_not_signed_yet_has_no_proof(keys: PublicKeys, leave: Leave) -> None:
    leave()
    move_entries()
    last = AuditEntry.objects.order_by("-sequence")[0]
    with pytest.raises(NotProvable, match="No checkpoint covers the entry yet"):
        prove(last.id)
    with pytest.raises(NotProvable, match="has no entry"):
        prove("made-up")


def test_an_entry_of_a_trail_that_was_bent_has_no_proof(keys: PublicKeys) -> None:
    entry = AuditEntry.objects.get(sequence=1)
    with connections["audit"].cursor() as cursor:
        cursor.execute("UPDATE audit_app_auditentry SET hash = %s WHERE sequence = 1", ["0" * 64])
    with pytest.raises(NotProvable, match="are not those that checkpoint 1 signed"):
        prove(entry.id)


def test_whatever_is_changed_in_a_proof_it_proves_nothing(keys: PublicKeys, dice: random.Random) -> None:
    proof = proof_of(1)
    places = [("entry", name) for name in proof["entry"]] + [("checkpoint", name) for name in proof["checkpoint"]]
    for part, name in places:
        bent = copy.deepcopy(proof)
        bent[part][name] = "x" if isinstance(bent[part][name], str) else 77
        with pytest.raises(NotProven):
            check_proof(orjson.dumps(bent), keys)
    for change in (
        {"version": 2},
        {"signature": "00" * 64},
        {"signature": "x"},
        {"path": [*proof["path"], "00" * 32]},
        {"path": ["00" * 32 for _ in proof["path"]] or ["00"]},
        {"path": "x"},
        {"entry": None},
        {"entry": proof_of(2)["entry"]},
        {"checkpoint": [1]},
    ):
        with pytest.raises(NotProven):
            check_proof(orjson.dumps(proof | change), keys)
    deep = '{"a":' * 1_000 + "1" + "}" * 1_000
    nested = orjson.dumps(proof | {"entry": orjson.Fragment(deep)})
    for text in ("", "[]", "null", "{}", '{"entry":1}', orjson.dumps(proof)[:-1], nested):
        with pytest.raises(NotProven):
            check_proof(text, keys)


def test_another_key_proves_nothing(keys: PublicKeys, tmp_path: Path) -> None:
    other = parse_public_keys(local_signer(tmp_path / "other").public_key.encode())
    with pytest.raises(NotProven, match="not the one given"):
        check_proof(orjson.dumps(proof_of(1)), other)


def test_a_proof_is_checked_where_there_is_no_database(keys: PublicKeys, tmp_path: Path, second_place: Path) -> None:
    path = tmp_path / "proof.json"
    with path.open("w") as file:
        call_command("audit", "prove", AuditEntry.objects.get(sequence=2).id, stdout=file)
    done = subprocess.run(
        [
            *(sys.executable, "manage.py", "audit", "verify", "--json", "--proof", str(path)),
            *("--public-key", str(second_place.with_name("checkpoints.jsonl.keys"))),
        ],
        cwd=settings.BASE_DIR,
        env=os.environ
        | {
            "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
            "AUDIT_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
            "SECRET_KEY": "none of ours",
            "VAR_DIR": str(tmp_path / "elsewhere"),
        },
        stdout=subprocess.PIPE,
        timeout=60,
        check=True,
    )
    found = orjson.loads(done.stdout)
    assert (found["ok"], found["sequence"]) == (True, 2)


def test_a_proof_needs_a_key(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="--proof needs --public-key"):
        call_command("audit", "verify", "--proof", str(tmp_path / "proof.json"))
