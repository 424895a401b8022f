"""New passwords, by a page of the admin or a command: saved by the writer, and every login of the old one ends."""

from functools import partial
from typing import Any

from django.contrib import admin
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.hashers import check_password
from django.contrib.auth.models import User
from django.contrib.auth.views import PasswordChangeView
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import reverse
from unfold.forms import AdminOwnPasswordChangeForm

from audit_app.commands import Record
from audit_app.writer import writer
from erlmcp_site.admin.differences import all_differences, stored
from erlmcp_site.admin.entries import entry_for
from erlmcp_site.admin.login import attempted, told_to_wait
from sessions_app.accounts import ChangeAccount
from sessions_app.errors import RateLimited, Unauthenticated
from sessions_app.logins import EntryOf, end_logins


def save_password(user: User, entry_of: EntryOf) -> None:
    """Save a user whose password was set, with entries as `entry_of` makes them. Raises what the writer raises."""
    details = {"change": "changed", "name": str(user), "fields": ["password"]}
    changes = all_differences(stored(user), user)
    entry = entry_of("access/user", "user", str(user))
    writer.run(
        ChangeAccount(write=user.save, entry=entry, users=[str(user.pk)], details={**details, "changes": changes})
    )
    end_logins(user.pk, "the password was changed", entry_of)


class OwnPasswordForm(AdminOwnPasswordChangeForm):
    """The old password and the new one. The old one may be guessed at as seldom as in a login."""

    def __init__(self, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._request = request

    def clean_old_password(self) -> str:
        old: str = self.cleaned_data["old_password"]

        def check() -> None:
            # unlike the user's own method, this saves no newer hash past the writer
            if not check_password(old, self.user.password):
                raise Unauthenticated(self.error_messages["password_incorrect"])

        try:
            attempted(self._request, self.user.get_username(), check)
        except RateLimited as refusal:
            raise ValidationError(told_to_wait(refusal), code="locked") from None
        except Unauthenticated as failure:
            entry = entry_for(self._request, "access/user", "user", self.user.get_username())
            writer.run(Record(entry=entry, refusal=failure))
            raise ValidationError(failure.message, code="password_incorrect") from None
        return old


class OwnPasswordView(PasswordChangeView):
    """The page where somebody changes the own password. Django's would save it past the writer."""

    form_class = OwnPasswordForm

    def get_form_kwargs(self) -> dict[str, Any]:
        return super().get_form_kwargs() | {"request": self.request}

    def form_valid(self, form: Any) -> HttpResponse:
        user = User.objects.get(pk=form.user.pk)
        user.password = form.save(commit=False).password
        save_password(user, partial(entry_for, self.request))
        update_session_auth_hash(self.request, user)
        # past Django's, which saves
        return super(PasswordChangeView, self).form_valid(form)


def change_own_password(request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponseBase:
    """The admin's page `password_change`."""
    context = admin.site.each_context(request) | (extra_context or {})
    done = reverse("admin:password_change_done")
    return OwnPasswordView.as_view(success_url=done, extra_context=context)(request)


admin.site.password_change = change_own_password  # type: ignore[method-assign, assignment]
