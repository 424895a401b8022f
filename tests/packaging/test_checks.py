"""What Django finds wrong with the code before it runs."""

from django.contrib import admin
from django.contrib.auth.models import User
from django.core.checks import run_checks

from erlmcp_site import urls


def test_nothing_is_wrong_with_the_pages_of_the_admin_either() -> None:
    """They are looked for where they are shown, so that other processes need not import them."""
    assert urls.urlpatterns
    assert admin.site.is_registered(User)
    assert run_checks() == []
