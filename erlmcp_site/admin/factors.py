"""Pages of second factors: one's own, to enrol and withdraw it; and everybody's, for whoever has lost a device."""

from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar, cast

import orjson
import segno
from django import forms
from django.contrib import admin
from django.contrib.auth.hashers import check_password
from django.contrib.auth.models import User
from django.contrib.auth.views import redirect_to_login
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.http.request import split_domain_port
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.cache import never_cache
from unfold.widgets import UnfoldAdminPasswordWidget

from audit_app.commands import Record
from audit_app.trail import Entry
from audit_app.writer import writer
from erlmcp_site.admin.entries import entry_for
from erlmcp_site.admin.login import CodeField, attempted, told_to_wait
from erlmcp_site.admin.pages import PipelinePage
from erlmcp_site.admin.standing import Standing, is_staff, mark_session, standing_of
from sessions_app.errors import AlreadyEnrolled, NotEnrolled, RateLimited, Unauthenticated
from sessions_app.factors.checking import CODE, ENROL, PURPOSE, WITHDRAW, enrolment, factor_of, use_of
from sessions_app.factors.codes import address_of, new_secret
from sessions_app.factors.store import WithdrawFactor
from sessions_app.logins import end_logins
from sessions_app.models import SecondFactor
from sessions_app.sealing import seal, unseal

T = TypeVar("T")

ISSUER = "erlmcp"
PROPOSED = "proposed_second_factor"
"""In a session of the admin, the sealed secret that its user is shown until it is enrolled."""


class EnrolForm(forms.Form):
    """The password once more, and a code that shows that the device has the secret."""

    password = forms.CharField(
        label="Your password",
        strip=False,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "current-password"}),
    )
    code = CodeField(label="The code that the device shows")


class WithdrawForm(forms.Form):
    """A code, so that nobody else does it in front of an unattended screen."""

    code = CodeField(label="A code, or a recovery code")


@never_cache
def second_factor(request: HttpRequest) -> HttpResponse:
    """The page of one's own second factor, the only one for whoever has to enrol one first."""
    if not is_staff(request) or standing_of(request) is Standing.CODE:
        return redirect_to_login(request.get_full_path(), reverse("admin:login"))
    user = cast(User, request.user)
    factor = factor_of(user)
    return _enrol(request, user) if factor is None else _withdraw(request, user, factor)


def _enrol(request: HttpRequest, user: User) -> HttpResponse:
    secret = _proposed(request, user)
    form = EnrolForm(request.POST or None)
    if form.is_valid():
        entry_of = partial(entry_for, request)
        entry = entry_of(ENROL, "user", user.get_username())

        def enrol() -> list[str]:
            try:
                # unlike the user's own method, this saves no newer hash past the writer
                if not check_password(form.cleaned_data["password"], user.password):
                    raise Unauthenticated("The password is wrong.")
                command, codes = enrolment(user, secret, form.cleaned_data["code"], entry)
            except Unauthenticated as refusal:
                writer.run(Record(entry=entry, refusal=refusal))
                raise
            writer.run(command)
            mark_session(request, command.factor)
            return codes

        codes = _attempt(request, form, entry, enrol)
        if codes is not None:
            del request.session[PROPOSED]
            request.session.cycle_key()
            end_logins(user.pk, "a second factor was enrolled", entry_of)
            return _page(request, "Recovery codes", codes=codes)
    host, _ = split_domain_port(request.get_host())
    address = address_of(secret, f"{user.get_username()}@{host}", ISSUER)
    return _page(request, "Second factor", form=form, secret=secret, picture=_picture(address))


def _withdraw(request: HttpRequest, user: User, factor: SecondFactor) -> HttpResponse:
    form = WithdrawForm(request.POST or None)
    if form.is_valid():
        use = use_of(factor, form.cleaned_data["code"], entry_for(request, CODE, "user", ""))
        entry = entry_for(request, WITHDRAW, "user", user.get_username())
        ending = WithdrawFactor(factor=factor.pk, user_id=str(user.pk), why="withdrawn by its user", entry=entry)

        def withdraw() -> bool:
            writer.run(use)
            writer.run(ending)
            return True

        if _attempt(request, form, entry, withdraw):
            mark_session(request, "")
            return redirect("admin:second_factor")
    return _page(request, "Second factor", form=form, factor=factor, left=len(orjson.loads(factor.recovery)))


def _attempt(request: HttpRequest, form: forms.Form, entry: Entry, check: Callable[[], T]) -> T | None:
    """What a form asks for, None when that was refused: the form then says why."""
    try:
        return attempted(request, entry.resource_id, check)
    except RateLimited as refusal:
        writer.run(Record(entry=entry, refusal=refusal))
        form.add_error(None, told_to_wait(refusal))
    except (Unauthenticated, AlreadyEnrolled, NotEnrolled) as refusal:
        form.add_error(None, refusal.message)
    return None


def _proposed(request: HttpRequest, user: User) -> str:
    """The secret that a user is shown, the same until it is enrolled or the session ends."""
    name = f"proposed to {user.pk}"
    kept = request.session.get(PROPOSED)
    if kept is not None:
        return unseal(b64decode(kept), PURPOSE, name).decode()
    secret = new_secret()
    request.session[PROPOSED] = b64encode(seal(secret.encode(), PURPOSE, name)).decode()
    return secret


def _picture(address: str) -> SafeString:
    """A QR code as SVG in the page, which needs neither script nor style; what is in it is only drawn."""
    return mark_safe(segno.make(address, error="m").svg_inline(scale=5, light="white"))


def _page(request: HttpRequest, title: str, **shown: Any) -> HttpResponse:
    context = admin.site.each_context(request) | {"title": title, "has_permission": True} | shown
    return TemplateResponse(request, "erlmcp_site/second_factor.html", context)


def own_pages() -> list[URLPattern]:
    """The pages that the admin has beside those of models."""
    return [path("second-factor/", second_factor, name="second_factor")]


admin.site.extra_urls = own_pages  # type: ignore[attr-defined]  # unfold asks for it


@admin.register(SecondFactor)
class SecondFactorPage(PipelinePage):
    """Everybody's second factors. Deleting one withdraws it; that of a superuser only superusers may."""

    view_needs = "access:admin"
    delete_needs = "access:admin"
    list_display = ("user", "enrolled_at", "recovery_codes")
    list_select_related = ("user",)
    search_fields = ("user__username",)
    search_help_text = "Part of a user's name"
    ordering = ("-enrolled_at",)
    fields = ("user", "enrolled_at", "recovery_codes")
    readonly_fields = ("recovery_codes",)

    @admin.display(description="recovery codes left")
    def recovery_codes(self, factor: SecondFactor) -> int:
        return len(orjson.loads(factor.recovery))

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        of_superuser = isinstance(obj, SecondFactor) and obj.user.is_superuser
        may_such = request.user.is_superuser or not of_superuser
        return may_such and super().has_delete_permission(request, obj)

    def delete_rows(self, request: HttpRequest, rows: Sequence[Model]) -> None:
        for row in (row for row in rows if isinstance(row, SecondFactor)):
            entry = entry_for(request, WITHDRAW, "user", self.trail_key(row))
            why = "withdrawn by an administrator"
            writer.run(WithdrawFactor(factor=row.pk, user_id=str(row.user_id), why=why, entry=entry))

    def trail_key(self, row: SecondFactor) -> str:
        return row.user.get_username()
