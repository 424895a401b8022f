"""Leave to take entries out of the trail: signed, so that write access to the database is not enough to give it.

An entry `audit/archive` bears it. It has to be in the trail before anything is deleted, and what is deleted ends where
a checkpoint does; then verification goes on behind it, from what that checkpoint has signed.
"""

from collections.abc import Mapping
from typing import Any

import orjson
from django.conf import settings
from rfc8785 import CanonicalizationError

from audit_app.chain.canonical import canonical_bytes
from audit_app.chain.keys import local_signer
from audit_app.chain.trust import Keyring, make_known
from audit_app.models import AuditEntry

ACTION = "audit/archive"
VERSION = 1


def leave_to_archive(until: int) -> Mapping[str, Any]:
    """The details of an entry `audit/archive` that lets everything up to the entry `until` go.

    Raises OSError and ImproperlyConfigured when the signing key is not to be had, and django.db.DatabaseError.
    """
    signer = local_signer(settings.AUDIT_SIGNING_KEY_FILE)
    # it may have signed no checkpoint yet: a key that was just rotated, or that of another node
    make_known(signer)
    leave = {"version": VERSION, "origin": settings.ERLMCP_SOURCE, "archived_until": until, "key": signer.id}
    return {"leave": leave, "signature": signer.sign(canonical_bytes(leave))}


def archived_until(keys: Keyring) -> int:
    """The last entry that may be gone, as the latest entry `audit/archive` with a good signature says; 0 for none."""
    told = AuditEntry.objects.filter(action=ACTION, outcome="success").order_by("-sequence")
    for details in told.values_list("details", flat=True).iterator():
        until = _until(details, keys)
        if until:
            return until
    return 0


def _until(details: str, keys: Keyring) -> int:
    try:
        parsed = orjson.loads(details)
        leave, signature = parsed["leave"], parsed["signature"]
        is_ours = leave["version"] == VERSION and type(leave["archived_until"]) is int
        if is_ours and keys.fault(leave["key"], canonical_bytes(leave), signature) is None:
            return int(leave["archived_until"])
    except (orjson.JSONDecodeError, KeyError, TypeError, CanonicalizationError):
        pass
    return 0
