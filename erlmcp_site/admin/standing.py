"""Whether a session of the admin was made with all that its user needs to log in; without that it opens no page.

A session bears the id of the second factor whose code it was made with. So one that was made before the factor was
enrolled, or with another one, is none any more from that moment on.
"""

from enum import Enum
from typing import Any, cast

from django.contrib import admin
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from sessions_app.factors.checking import must_have_factor
from sessions_app.models import SecondFactor

PASSED = "erlmcp.second_factor"
"""In the META of a request, the id of the second factor whose code has come with it."""

STANDING = "erlmcp.standing"
MARK = "second_factor"


class Standing(Enum):
    """What a session of the admin is missing."""

    NOTHING = "nothing"
    CODE = "the code of the second factor"
    FACTOR = "a second factor, which its user has to have"


def pass_with(request: HttpRequest, factor: str) -> None:
    """The code of this second factor has come with a request: the session that it logs in bears it."""
    request.META[PASSED] = factor


def mark_session(request: HttpRequest, factor: str) -> None:
    """Have the session of a request bear a second factor; "" for none."""
    request.session[MARK] = factor
    request.META.pop(STANDING, None)


def is_staff(request: HttpRequest) -> bool:
    """Whether the admin is for the user of a request at all."""
    return request.user.is_active and request.user.is_staff


def standing_of(request: HttpRequest) -> Standing:
    """What the session of a logged-in request is missing. Reads the database, once a request."""
    standing: Standing | None = request.META.get(STANDING)
    if standing is None:
        standing = request.META[STANDING] = _standing(cast(User, request.user), request.session.get(MARK))
    return standing


def may_enter(request: HttpRequest) -> bool:
    """Whether a request may see pages of the admin. Everybody may leave."""
    return is_staff(request) and (standing_of(request) is Standing.NOTHING or request.path == reverse("admin:logout"))


@receiver(user_logged_in)
def mark_login(request: HttpRequest, **_: Any) -> None:
    mark_session(request, request.META.get(PASSED, ""))


def _standing(user: User, mark: str | None) -> Standing:
    factor = SecondFactor.objects.filter(user=user).values_list("id", flat=True).first()
    if factor is None:
        return Standing.FACTOR if must_have_factor(user) else Standing.NOTHING
    return Standing.NOTHING if mark == factor else Standing.CODE


_log_in = admin.site.login


def log_in(request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
    """The admin's page `login`. Whoever has to enrol a second factor is led there: before that, all pages lead here."""
    if request.method == "GET" and is_staff(request) and standing_of(request) is Standing.FACTOR:
        return redirect("admin:second_factor")
    return _log_in(request, extra_context)


admin.site.login = log_in  # type: ignore[method-assign]
admin.site.has_permission = may_enter  # type: ignore[method-assign]
