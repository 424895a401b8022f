"""Who has a second factor, who has to have one, and the commands that enrol one or use its codes."""

from dataclasses import replace

from django.conf import settings
from django.contrib.auth.models import User
from uuid_utils import uuid7

from audit_app.trail import Entry
from sessions_app.errors import FactorNeeded, WrongCode
from sessions_app.factors.codes import digest_of, new_recovery_codes, step_of
from sessions_app.factors.store import EnrolFactor, UseCode
from sessions_app.models import SecondFactor
from sessions_app.sealing import seal, unseal

PURPOSE = "second factors"

ENROL, CODE, WITHDRAW = "auth/enrol", "auth/code", "auth/withdraw"
"""What entries call that a second factor was enrolled, that one of its codes was used, and that it was withdrawn."""


def factor_of(user: User) -> SecondFactor | None:
    """The second factor of a user, if there is one. Reads the database."""
    return SecondFactor.objects.filter(user=user).select_related("user").first()


def must_have_factor(user: User) -> bool:
    """Whether a user may not be without: one who may enter the admin, or may do everything."""
    return settings.ADMIN_SECOND_FACTOR == "required" and (user.is_staff or user.is_superuser)


def factor_for_login(user: User) -> SecondFactor | None:
    """The second factor that a login over the API has to show, None when the password is enough. Reads the database.

    Raises FactorNeeded for a user who has none and has to have one.
    """
    factor = factor_of(user)
    if factor is None and must_have_factor(user):
        raise FactorNeeded()
    return factor


def use_of(factor: SecondFactor, code: str, entry: Entry) -> UseCode:
    """The command that uses a code; the writer refuses it, WrongCode, when it is wrong or was used before."""
    secret = unseal(bytes(factor.sealed), PURPOSE, factor.pk).decode()
    return UseCode(
        factor=factor.pk,
        user_id=str(factor.user_id),
        step=step_of(secret, code),
        digest=digest_of(code),
        entry=replace(entry, resource_type="user", resource_id=factor.user.get_username()),
    )


def enrolment(user: User, secret: str, code: str, entry: Entry) -> tuple[EnrolFactor, list[str]]:
    """The command that gives a user the factor of a secret, and its recovery codes.

    Raises WrongCode unless the code is of that secret: whoever has not got it into a device would be locked out.
    """
    step = step_of(secret, code)
    if step is None:
        raise WrongCode()
    factor, codes = str(uuid7()), new_recovery_codes()
    command = EnrolFactor(
        factor=factor,
        user_id=str(user.pk),
        sealed=seal(secret.encode(), PURPOSE, factor),
        step=step,
        recovery=tuple(map(digest_of, codes)),
        entry=entry,
    )
    return command, codes
