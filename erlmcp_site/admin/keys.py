"""Pages of API keys: everybody's, a new one for oneself, which is shown once, and revoking."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminIntegerFieldWidget

from erlmcp_site.admin.pages import PipelineForm, PipelinePage
from sessions_app.models import ApiKey, TokenFamily
from sessions_app.permissions import ALL
from sessions_app.serializers import DAY_SECONDS, KEY_SECONDS, MAX_KEY_SECONDS


class KeyForm(PipelineForm):
    """A new API key of the admin's user."""

    scope = forms.MultipleChoiceField(
        choices=[(name, name) for name in sorted(ALL)],
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="What it may do, as far as you may; everything that you may when nothing is chosen.",
    )
    days = forms.IntegerField(
        min_value=1,
        max_value=MAX_KEY_SECONDS // DAY_SECONDS,
        initial=KEY_SECONDS // DAY_SECONDS,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="For how many days it is good.",
    )

    class Meta:
        model = ApiKey
        fields: ClassVar[list[str]] = ["label"]

    def call(self) -> tuple[str, Mapping[str, Any]]:
        cleaned = self.cleaned_data
        params = {"label": cleaned["label"], "expires_in": cleaned["days"] * DAY_SECONDS}
        if cleaned["scope"]:
            params["scope"] = " ".join(cleaned["scope"])
        return "keys/create", params


@admin.register(ApiKey)
class ApiKeyPage(PipelinePage):
    """Everybody's API keys. Deleting one revokes it; its row goes a day after its time is over."""

    form = KeyForm
    view_needs = add_needs = delete_needs = "access:admin"
    deleting = ("keys/revoke", "id")
    list_display = ("label", "id", "user", "scope", "created_at", "last_used_at", "expires_at", "revoked_at")
    list_filter = ("created_at", "expires_at")
    list_select_related = ("user",)
    search_fields = ("id", "user__username", "label")
    search_help_text = "Part of an id, a user's name or a label"
    ordering = ("-created_at",)
    fields = ("id", "user", "label", "scope", "created_at", "last_used_at", "expires_at", "revoked_at")
    add_fieldsets = ((None, {"fields": ("label", "scope", "days")}),)
    readonly_fields = ("revoked_at",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiKey]:
        revoked = TokenFamily.objects.filter(id=OuterRef("id")).values("revoked_at")
        rows: QuerySet[ApiKey] = super().get_queryset(request).annotate(ended_at=Subquery(revoked[:1]))
        return rows

    @admin.display(description="revoked at", ordering="ended_at")
    def revoked_at(self, key: ApiKey) -> Any:
        return getattr(key, "ended_at", None)

    def saved(self, form: PipelineForm) -> ApiKey:
        key: ApiKey = super().saved(form)
        key.text = form.result["key"]  # type: ignore[attr-defined]  # only for the answer to this request
        return key

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        """The one page that shows the key."""
        shown = self.admin_site.each_context(request) | {"title": "API key", "key": obj, "opts": self.opts}
        return TemplateResponse(request, "erlmcp_site/api_key.html", shown)
