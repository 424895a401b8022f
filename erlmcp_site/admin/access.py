"""Pages of access rules: list, grant, revoke; and what somebody may do somewhere, and why."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminSplitDateTimeWidget,
    UnfoldAdminTextInputWidget,
)

from erlmcp_site.admin.looks import leave_look
from erlmcp_site.admin.pages import PipelineForm, PipelinePage, may, told
from erlmcp_site.admin.requests import ask
from sessions_app.access.rules import Effect
from sessions_app.access.serializers import VERBS
from sessions_app.models import AccessRule

NEEDS = "access:admin"


class RuleForm(PipelineForm):
    """A new rule, for a user, a group, or everyone when neither is chosen."""

    user = forms.ModelChoiceField(
        User.objects.order_by("username"), to_field_name="username", required=False, widget=UnfoldAdminSelectWidget
    )
    group = forms.ModelChoiceField(
        Group.objects.order_by("name"), to_field_name="name", required=False, widget=UnfoldAdminSelectWidget
    )
    everyone = forms.BooleanField(required=False)
    pattern = forms.CharField(
        max_length=2048,
        widget=UnfoldAdminTextInputWidget,
        help_text="A URI, one that ends in /* (everything below) or /+ (one level), or * for everything.",
    )
    verbs = forms.MultipleChoiceField(
        choices=[(verb, verb) for verb in VERBS], widget=UnfoldAdminCheckboxSelectMultipleWidget
    )
    effect = forms.ChoiceField(
        choices=[(effect.value, effect.value) for effect in Effect], widget=UnfoldAdminSelectWidget
    )
    expires_at = forms.SplitDateTimeField(label="Expires", required=False, widget=UnfoldAdminSplitDateTimeWidget)

    class Meta:
        model = AccessRule
        # whether these are valid the pipeline says
        fields: ClassVar[list[str]] = []

    def call(self) -> tuple[str, Mapping[str, Any]]:
        cleaned = self.cleaned_data
        params = {name: cleaned[name] for name in ("pattern", "verbs", "effect")}
        if cleaned["user"] is not None:
            params["user"] = cleaned["user"].username
        if cleaned["group"] is not None:
            params["group"] = cleaned["group"].name
        if cleaned["everyone"]:
            params["everyone"] = True
        if cleaned["expires_at"] is not None:
            params["expires_at"] = cleaned["expires_at"].isoformat()
        return "access/grant", params


@admin.register(AccessRule)
class RulePage(PipelinePage):
    """The rules. Deleting one revokes it."""

    form = RuleForm
    view_needs = add_needs = delete_needs = NEEDS
    deleting = ("access/revoke", "rule")
    list_display = ("pattern", "whom", "effect", "verbs", "created_by", "created_at", "expires_at")
    list_filter = ("effect", "user", "group")
    list_select_related = ("user", "group")
    search_fields = ("pattern", "user__username", "group__name")
    search_help_text = "Part of a pattern, or of the name of a user or a group"
    ordering = ("pattern", "id")
    fields = ("id", "whom", "pattern", "effect", "verbs", "created_by", "created_at", "expires_at")
    readonly_fields = ("whom",)
    add_fieldsets = (
        ("Whom", {"fields": ("user", "group", "everyone")}),
        ("What", {"fields": ("pattern", "verbs", "effect", "expires_at")}),
    )

    @admin.display(description="for")
    def whom(self, rule: AccessRule) -> str:
        if rule.user is not None:
            return f"user {rule.user.get_username()}"
        return f"group {rule.group.name}" if rule.group is not None else "everyone"

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return () if obj is None else super().get_readonly_fields(request, obj)

    def trail_key(self, row: AccessRule) -> str:
        return row.pattern


class QuestionForm(forms.Form):
    """Who, and where."""

    user = forms.CharField(max_length=150, widget=UnfoldAdminTextInputWidget)
    uri = forms.CharField(label="URI or pattern", max_length=2048, widget=UnfoldAdminTextInputWidget)


def explain(request: HttpRequest) -> HttpResponse:
    """The page that says what a user may do somewhere, and why.

    Raises PermissionDenied for those who may not ask, which leaves an entry; what is asked leaves that of the method.
    """
    if not may(request, NEEDS):
        leave_look(request, "access/explain", "rule", is_allowed=False)
    form = QuestionForm(request.GET or None)
    context = admin.site.each_context(request) | {"title": "What may somebody do here?", "form": form}
    if form.is_valid():
        reply = ask(request, "access/explain", form.cleaned_data)
        if reply.refusal is not None:
            context["refused"] = told(reply.refusal)
        else:
            context["explanation"] = reply.result
    return TemplateResponse(request, "erlmcp_site/access_explain.html", context)
