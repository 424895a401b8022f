"""Users of outside issuers as the writer keeps them: found or made, with their groups, in a token family of theirs.

A user has one family for an issuer, which all of its tokens belong to. Revoking it refuses those that were issued by
then; a later one opens it again. `rotated_at` is when the latest of its tokens was issued.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from django.contrib.auth.models import Group, User
from django.utils.timezone import now

from audit_app.bulk import Bulk
from audit_app.commands import Decision, Store
from audit_app.system import system_entry
from audit_app.trail import Entry
from resources_app.log.control import ControlEvent
from sessions_app.errors import Unauthenticated
from sessions_app.issuers.tokens import OutsideClaims
from sessions_app.models import TokenFamily


@dataclass(slots=True)
class Guest:
    """A user whom an issuer speaks for; one without a primary key is not there yet."""

    user: User
    groups: frozenset[str] = frozenset()


@dataclass(slots=True)
class GuestsOfBatch:
    """Guests by name and families by id, as the decisions so far have left them."""

    guests: dict[str, Guest]
    families: dict[str, TokenFamily]
    changed: dict[str, "Admit"] = field(default_factory=dict)


class GuestStore(Store):
    """Admissions are rare, one a token: Django's models read and save them, in the writer's transaction."""

    def load(self, db: Bulk, commands: Sequence["Admit"]) -> GuestsOfBatch:
        return _kept(commands)

    def decide(self, state: GuestsOfBatch, command: "Admit", at: datetime) -> Decision:
        return admit(state, command, at)

    def save(self, db: Bulk, state: GuestsOfBatch) -> None:
        for family_id, command in state.changed.items():
            guest, family = state.guests[command.claims.username], state.families[family_id]
            if guest.user.pk is None:
                # another node may have made it at the same time
                guest.user, _ = User.objects.get_or_create(
                    username=guest.user.username, defaults={"password": guest.user.password}
                )
            if command.claims.groups is not None:
                managed = Group.objects.filter(name__in=set(command.claims.issuer.groups.values()))
                guest.user.groups.remove(*managed.exclude(name__in=guest.groups))
                guest.user.groups.add(*managed.filter(name__in=guest.groups))
            kept = {name: getattr(family, name) for name in ("created_at", "rotated_at", "revoked_at", "expires_at")}
            TokenFamily.objects.update_or_create(id=family_id, defaults={"user": guest.user, "current": "", **kept})


STORE = GuestStore()


@dataclass(frozen=True, slots=True, kw_only=True)
class Admit:
    """Let a user in by a token that was verified."""

    family: str
    claims: OutsideClaims
    entry: Entry | None
    store: GuestStore = STORE


def family_of(claims: OutsideClaims) -> str:
    """The id of the family that a token belongs to."""
    return str(uuid5(NAMESPACE_URL, f"{claims.issuer.issuer}\n{claims.username}"))


def admission(claims: OutsideClaims) -> Admit:
    """The command that lets the user of a token in."""
    family = family_of(claims)
    entry = replace(system_entry("auth/admit", "family", family), user=claims.username)
    return Admit(family=family, claims=claims, entry=entry)


def check_admission(claims: OutsideClaims) -> None:
    """Raise Unauthenticated where the writer would: whoever is not let in costs no transaction, however often it comes.

    Reads the database.
    """
    command = admission(claims)
    admit(_kept([command]), command, now())


def find_guest(claims: OutsideClaims) -> User | None:
    """The user of a token that needs no admission, as one that is no older was admitted. Reads the database."""
    family = TokenFamily.objects.select_related("user").filter(id=family_of(claims), revoked_at=None).first()
    if family is None or family.rotated_at is None or family.rotated_at < _moment(claims.issued_at):
        return None
    # the issuer speaks for names: whoever was renamed here is not whom it means any more
    if family.user.get_username() != claims.username or family.user.is_superuser:
        return None
    return None if family.expires_at < _moment(claims.expires_at) else family.user


def admit(state: GuestsOfBatch, command: Admit, at: datetime) -> Decision:
    """Decide an admission. Raises Unauthenticated."""
    claims, family = command.claims, state.families.get(command.family)
    guest = state.guests.get(claims.username) or _new_guest(claims)
    if not guest.user.is_active or guest.user.is_superuser:
        raise Unauthenticated("No outside issuer speaks for this user.")
    issued_at, expires_at = _moment(claims.issued_at), _moment(claims.expires_at)
    if family is None:
        family = TokenFamily(id=command.family, created_at=at, rotated_at=issued_at, expires_at=expires_at)
    elif family.revoked_at is not None and issued_at <= family.revoked_at:
        raise Unauthenticated("The login that this token belongs to has ended.")
    is_new, before = guest.user.pk is None and claims.username not in state.guests, guest.groups
    if claims.groups is not None and (family.rotated_at is None or issued_at >= family.rotated_at):
        guest.groups = before - frozenset(claims.issuer.groups.values()) | claims.groups
    family.revoked_at = None
    family.rotated_at = max(issued_at, family.rotated_at or issued_at)
    family.expires_at = max(expires_at, family.expires_at)
    state.guests[claims.username], state.families[command.family] = guest, family
    state.changed[command.family] = command
    changes = guest.groups != before
    events = [ControlEvent(kind="user.changed", subject=str(guest.user.pk))] if changes and guest.user.pk else []
    return Decision(events=events, details=_details(claims, is_new, before, guest.groups))


def _kept(commands: Sequence[Admit]) -> GuestsOfBatch:
    users = User.objects.filter(username__in={command.claims.username for command in commands})
    guests = {
        user.username: Guest(user, frozenset(user.groups.values_list("name", flat=True)))
        for user in users.prefetch_related("groups")
    }
    families = TokenFamily.objects.filter(id__in={command.family for command in commands})
    return GuestsOfBatch(guests, {family.id: family for family in families})


def _details(claims: OutsideClaims, is_new: bool, before: frozenset[str], after: frozenset[str]) -> Mapping[str, Any]:
    changes = {"joined": sorted(after - before), "left": sorted(before - after)}
    told = {name: groups for name, groups in changes.items() if groups}
    return {"issuer": claims.issuer.issuer, "added": is_new, **told}


def _new_guest(claims: OutsideClaims) -> Guest:
    if not claims.issuer.create_users:
        raise Unauthenticated("The token is of no user.")
    user = User(username=claims.username)
    user.set_unusable_password()
    return Guest(user)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
