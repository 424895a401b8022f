"""Pages of users and groups, which are saved by the writer; and the entries of the admin's own logins."""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from functools import partial
from typing import Any

from auditlog.admin import LogEntry
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db.models import Model, QuerySet
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.utils.timezone import now
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from audit_app.commands import Record
from audit_app.differences import track
from audit_app.errors import Refusal
from audit_app.writer import writer
from erlmcp_site.admin.differences import all_differences, stored
from erlmcp_site.admin.entries import entry_for
from erlmcp_site.admin.pages import Untransacted
from erlmcp_site.admin.passwords import save_password
from sessions_app.accounts import ChangeAccount
from sessions_app.errors import Unauthenticated
from sessions_app.models import Session


class AccountPage(Untransacted):
    """Saves and deletes by commands of the writer."""

    noun: str

    def affected(self, row: Any) -> Sequence[str]:
        """The ids of the users whose rights a change of this row may change."""
        raise NotImplementedError

    def save_model(self, request: HttpRequest, obj: Model, form: Any, change: bool) -> None:
        """Left to `save_related`, which has everything that belongs to one save."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        row = form.instance

        def write() -> None:
            row.save()
            form.save_m2m()

        action = "changed" if change else "added"
        before = stored(row) if change else None
        details = {"fields": form.changed_data, "changes": all_differences(before, row, form.cleaned_data)}
        self._run(request, action, row, write, details, self.affected(row) if change else ())

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        pk = obj.pk
        ending = list(Session.objects.filter(user_id=pk).values_list("id", flat=True)) if self.noun == "user" else ()
        delete = type(obj)._default_manager.filter(pk=pk).delete
        details = {"changes": all_differences(obj, None)}
        self._run(request, "deleted", obj, delete, details, self.affected(obj), ending)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for row in queryset:
            self.delete_model(request, row)

    def _run(
        self,
        request: HttpRequest,
        what: str,
        row: Model,
        write: Callable[[], object],
        details: Mapping[str, Any],
        users: Sequence[str],
        ending_sessions: Sequence[str] = (),
    ) -> None:
        entry = entry_for(request, f"access/{self.noun}", self.noun, str(row))
        command = ChangeAccount(
            write=write,
            entry=entry,
            users=users,
            ending_sessions=ending_sessions,
            details={"change": what, "name": str(row), **details},
        )
        writer.run(command)


track(User, secret=("password",))
track(Group)

admin.site.unregister(User)
admin.site.unregister(Group)
# its entries are none (audit_app/differences.py), so there is nothing to look at
admin.site.unregister(LogEntry)


@admin.register(User)
class UserPage(AccountPage, UserAdmin, ModelAdmin):
    """Users. A new password ends every login that the old one has made; API keys know of no password, and stay."""

    noun = "user"
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm

    def affected(self, row: User) -> Sequence[str]:
        return [str(row.pk)]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None) -> Any:
        return self._add_view(request, form_url, extra_context)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        page = copy(self)
        page.change_password_form = self._password_form(request)
        return super(UserPage, page).user_change_password(request, id, form_url)

    def _password_form(self, request: HttpRequest) -> type[AdminPasswordChangeForm]:
        class PasswordForm(AdminPasswordChangeForm):
            def save(self, commit: bool = True) -> User:
                user: User = super().save(commit=False)
                save_password(user, partial(entry_for, request))
                return user

        return PasswordForm


@admin.register(Group)
class GroupPage(AccountPage, GroupAdmin, ModelAdmin):
    """Groups of users, and what they may do."""

    noun = "group"

    def affected(self, row: Group) -> Sequence[str]:
        return [str(pk) for pk in User.objects.filter(groups=row).values_list("pk", flat=True)]


# Django's would save that past the writer
user_logged_in.disconnect(dispatch_uid="update_last_login")


@receiver(user_logged_in)
def record_login(request: HttpRequest, user: User, **_: Any) -> None:
    """A login to the admin leaves an entry like any other, and its time; one that cannot be recorded is none."""
    note = partial(User.objects.filter(pk=user.pk).update, last_login=now())
    try:
        writer.run(ChangeAccount(write=note, entry=entry_for(request, "auth/login", "user", user.get_username())))
    except Refusal:
        request.session.flush()
        raise


@receiver(user_logged_out)
def record_logout(request: HttpRequest, user: User | None, **_: Any) -> None:
    _record(request, "auth/logout", user.get_username() if user is not None else "")


@receiver(user_login_failed)
def record_failed_login(credentials: Mapping[str, Any], request: HttpRequest | None = None, **_: Any) -> None:
    if request is not None:
        _record(request, "auth/login", str(credentials.get("username", ""))[:150], Unauthenticated())


def _record(request: HttpRequest, action: str, name: str, refusal: Refusal | None = None) -> None:
    writer.run(Record(entry=entry_for(request, action, "user", name), refusal=refusal))
