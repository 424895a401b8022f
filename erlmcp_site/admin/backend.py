"""Who logs in to the admin. Django's backend would save a newer hash of a password past the writer."""

from functools import partial
from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.models import User
from django.http import HttpRequest

from audit_app.writer import writer
from erlmcp_site.admin.entries import entry_for
from sessions_app.accounts import ChangeAccount


class Backend(ModelBackend):
    """Users by their names and passwords; a hash that is older than the settings want is made anew, by the writer."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **_: Any
    ) -> User | None:
        """The active user with this name and password; None, after as long, also where nobody has the name."""
        if request is None or username is None or password is None:
            return None
        user = User.objects.filter(username=username).first()
        if user is None:
            make_password(password)
            return None
        is_right = check_password(password, user.password, partial(_renew, request, user))
        return user if is_right and self.user_can_authenticate(user) else None


def _renew(request: HttpRequest, user: User, password: str) -> None:
    """Keep a newer hash of the same password, unless there is a new password by now."""
    old, user.password = user.password, make_password(password)
    write = partial(User.objects.filter(pk=user.pk, password=old).update, password=user.password)
    entry = entry_for(request, "access/user", "user", user.get_username())
    details = {"change": "changed", "name": user.get_username(), "fields": ["password"], "why": "a newer hash"}
    writer.run(ChangeAccount(write=write, entry=entry, details=details))
