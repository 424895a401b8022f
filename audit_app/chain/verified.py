"""Which checkpoint this machine has verified last, so that a daily verification need not begin at the first entry."""

import os

import orjson

from audit_app.chain.canonical import digest
from audit_app.chain.second_place import SecondPlace
from audit_app.chain.statements import START, Anchor, Malformed, parse_payload
from audit_app.models import Checkpoint


def last_verified(second: SecondPlace) -> Anchor:
    """The checkpoint that was verified last, START for none, or when the database has another one in its place."""
    try:
        kept = orjson.loads(second.verified_path.read_bytes())
        stored = Checkpoint.objects.filter(number=kept["number"]).first()
        if stored is None or digest(stored.payload.encode()) != kept["sha256"]:
            return START
        return Anchor.at(parse_payload(stored.payload))
    except (FileNotFoundError, ValueError, TypeError, KeyError, Malformed):
        return START


def remember_verified(second: SecondPlace, anchor: Anchor) -> None:
    """Keep that everything up to this checkpoint is in order. Raises OSError."""
    if anchor == START:
        return
    second.path.parent.mkdir(parents=True, exist_ok=True)
    fresh = second.verified_path.with_name(f".{second.verified_path.name}.{os.getpid()}")
    fresh.write_bytes(orjson.dumps({"number": anchor.number, "sha256": anchor.digest}))
    fresh.replace(second.verified_path)
