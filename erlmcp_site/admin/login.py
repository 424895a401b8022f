"""Logging in to the admin: with a name, a password and, for whoever has a second factor, its code.

One form asks for all of it and does not tell which was wrong. Failures count like those of the API, and with them
(sessions_app/attempts.py). django-axes looks first, counts what has failed later, by a read and a write, and brings
tables and pages that the writer knows nothing of.
"""

import math
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar, cast

from asgiref.sync import async_to_sync, sync_to_async
from django import forms
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from unfold.forms import AuthenticationForm
from unfold.widgets import UnfoldAdminTextInputWidget

from audit_app.commands import Record
from audit_app.errors import Refusal
from audit_app.writer import writer
from erlmcp_site.admin.entries import address_of, entry_for
from erlmcp_site.admin.standing import pass_with
from sessions_app.attempts import login_attempt
from sessions_app.errors import Forbidden, RateLimited, Unauthenticated, WrongCode
from sessions_app.factors.checking import CODE, factor_of, use_of
from sessions_app.serializers import MAX_CODE_CHARACTERS

T = TypeVar("T")


def attempted(request: HttpRequest, username: str, check: Callable[[], T]) -> T:
    """Check something that somebody may be guessing at. Raises RateLimited; what raises Unauthenticated has failed."""

    async def attempt() -> T:
        async with login_attempt(username, address_of(request)):
            return await sync_to_async(check)()

    return async_to_sync(attempt)()


def told_to_wait(refusal: RateLimited) -> str:
    """What is said to whoever has failed too often."""
    minutes = math.ceil((refusal.retry_after or 60) / 60)
    return f"Too many failed logins. Try again in {minutes} minute{'s' if minutes > 1 else ''}."


class CodeField(forms.CharField):
    """A code of a second factor, or a recovery code."""

    widget = UnfoldAdminTextInputWidget(attrs={"autocomplete": "one-time-code", "spellcheck": "false"})

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=MAX_CODE_CHARACTERS, **kwargs)


class LoginForm(AuthenticationForm):
    """The admin's login; what it refuses is on record, by the signal of a failed login or here."""

    code = CodeField(required=False, help_text="If you have a second factor: its code, or a recovery code.")

    error_messages: ClassVar[dict[str, Any]] = AuthenticationForm.error_messages | {
        "invalid_login": "Please enter the correct %(username)s and password for a staff account, and the code of your "
        "second factor if you have one. The first two may be case-sensitive."
    }

    def clean(self) -> Any:
        username = self.cleaned_data.get("username")
        if username is None or not self.cleaned_data.get("password"):
            return super().clean()
        try:
            return attempted(self.request, username, self._check)
        except RateLimited as refusal:
            self._record(username, refusal)
            raise ValidationError(told_to_wait(refusal), code="locked") from None
        except Unauthenticated as failure:
            raise cast(ValidationError, failure.__cause__) from None

    def _check(self) -> Any:
        """Raises Unauthenticated because of what the form is to say."""
        try:
            cleaned = super().clean()
        except ValidationError as error:
            if (stranger := self.get_user()) is not None:
                # the password was right, but the admin is not for this user
                self._record(stranger.get_username(), Forbidden())
            raise Unauthenticated() from error
        factor = factor_of(cast(User, self.get_user()))
        if factor is not None:
            try:
                writer.run(use_of(factor, self.cleaned_data["code"], entry_for(self.request, CODE, "user", "")))
            except WrongCode as refusal:
                raise refusal from self.get_invalid_login_error()
            pass_with(self.request, factor.pk)
        return cleaned

    def _record(self, username: str, refusal: Refusal) -> None:
        writer.run(Record(entry=entry_for(self.request, "auth/login", "user", username[:150]), refusal=refusal))


admin.site.login_form = LoginForm
admin.site.login_template = "erlmcp_site/login.html"
