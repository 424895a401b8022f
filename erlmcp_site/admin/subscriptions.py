"""Pages of durable subscriptions: list, create for oneself, delete."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth import get_user_model
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from erlmcp_site.admin.pages import PipelineForm, PipelinePage, pretty_json
from resources_app.models import Subscription
from resources_app.serializers import EVENT_TYPES

EVENTS = [(kind, kind) for kind in EVENT_TYPES]
OPTIONS = ("batch_size", "throttle_ms", "delta", "include_content")


class SubscriptionForm(PipelineForm):
    """A new subscription of the admin's user, from now on."""

    uri = forms.CharField(
        label="URI or pattern",
        max_length=2048,
        widget=UnfoldAdminTextInputWidget,
        help_text="A URI, or one that ends in /* (everything below) or /+ (one level).",
    )
    events = forms.MultipleChoiceField(
        choices=EVENTS, initial=[kind for kind, _ in EVENTS], widget=UnfoldAdminCheckboxSelectMultipleWidget
    )
    batch_size = forms.IntegerField(min_value=1, max_value=1000, initial=1000, widget=UnfoldAdminIntegerFieldWidget)
    throttle_ms = forms.IntegerField(
        label="Throttle (ms)", min_value=0, max_value=60_000, initial=0, widget=UnfoldAdminIntegerFieldWidget
    )
    delta = forms.BooleanField(required=False, widget=UnfoldBooleanSwitchWidget)
    include_content = forms.BooleanField(required=False, initial=True, widget=UnfoldBooleanSwitchWidget)

    class Meta:
        model = Subscription
        fields: ClassVar[list[str]] = ["label"]

    def call(self) -> tuple[str, Mapping[str, Any]]:
        cleaned = self.cleaned_data
        params = {name: cleaned[name] for name in ("uri", "events", "label")}
        return "subscriptions/create", params | {"options": {name: cleaned[name] for name in OPTIONS}}


@admin.register(Subscription)
class SubscriptionPage(PipelinePage):
    """Everybody's durable subscriptions."""

    form = SubscriptionForm
    view_needs = "sessions:admin"
    add_needs = "resources:subscribe"
    delete_needs = "sessions:admin"
    deleting = ("subscriptions/delete", "subscription")
    list_display = ("pattern", "owner", "label", "events", "offset", "created_at")
    search_fields = ("pattern", "label", "user_id", "session_id")
    search_help_text = "Part of a pattern or label, or the id of a user or session"
    ordering = ("-created_at",)
    fieldsets = (
        (None, {"fields": ("id", "pattern", "events", "label", "shown_options")}),
        ("Owner", {"fields": ("owner", "user_id", "session_id", "client_id")}),
        ("State", {"fields": ("offset", "created_at")}),
    )
    add_fieldsets = ((None, {"fields": ("uri", "events", "label", *OPTIONS)}),)
    readonly_fields = ("owner", "shown_options")

    @admin.display(description="user", ordering="user_id")
    def owner(self, subscription: Subscription) -> str:
        name: str = getattr(subscription, "owner_name", "")
        return name or subscription.user_id

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """The page with the names of the owners, from one query."""
        changes: ChangeList = super().get_changelist_instance(request)
        ids = {row.user_id for row in changes.result_list if row.user_id.isdigit()}
        names = dict(get_user_model().objects.filter(pk__in=ids).values_list("pk", "username"))
        for row in changes.result_list:
            row.owner_name = names.get(int(row.user_id)) if row.user_id.isdigit() else None
        return changes

    @admin.display(description="options")
    def shown_options(self, subscription: Subscription) -> SafeString:
        return pretty_json(subscription.options)
