"""Pages of resources: list, look at, create, change and delete."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import orjson
from django import forms
from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.html import format_html
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from audit_app.errors import Refusal
from erlmcp_site.admin.contents import text_of
from erlmcp_site.admin.pages import PipelineForm, PipelinePage, readable_by, told
from erlmcp_site.admin.requests import ask_or_raise
from resources_app.models import Resource
from resources_app.state import Kind, OnConflict

PREVIEW_BYTES = 256 * 1024
BATCH = 500

KINDS = [(Kind.JSON.value, "JSON"), (Kind.TEXT.value, "Text")]
RULES = [(rule.value, rule.value.replace("_", " ")) for rule in OnConflict]


class ResourceForm(PipelineForm):
    """A resource with content that can be typed; a blob keeps its content, and the rest of it can be changed."""

    uri = forms.CharField(label="URI", max_length=2048, widget=UnfoldAdminTextInputWidget)
    mime_type = forms.CharField(
        label="MIME type",
        max_length=255,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="Left empty: what fits the kind of content.",
    )
    on_conflict = forms.ChoiceField(
        choices=RULES,
        widget=UnfoldAdminSelectWidget,
        help_text="What becomes of a change that is based on an old version.",
    )
    kind = forms.ChoiceField(choices=KINDS, widget=UnfoldAdminSelectWidget)
    content = forms.CharField(
        required=False,
        strip=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 24, "spellcheck": "false", "style": "font-family: monospace"}),
    )
    base_version = forms.IntegerField(required=False, widget=forms.HiddenInput)

    description = forms.CharField(required=False, max_length=4096, widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}))

    class Meta:
        model = Resource
        # whether these are valid the pipeline says; a URI that is taken may be that of a deleted resource
        exclude: ClassVar[list[str]] = ["uri", "mime_type", "on_conflict", "kind"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        stored: Resource = self.instance
        if stored.pk is None:
            return
        self.fields["base_version"].required = True
        self.initial = {
            **self.initial,
            "base_version": stored.version,
            "kind": stored.kind,
            "mime_type": stored.mime_type,
        }
        if stored.kind == Kind.BLOB:
            del self.fields["kind"], self.fields["content"]
        else:
            self.initial["content"] = _shown(stored)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if "content" in cleaned:
            # browsers send CRLF for every line end
            cleaned["content"] = cleaned["content"].replace("\r\n", "\n")
            if cleaned.get("kind") == Kind.JSON:
                try:
                    orjson.loads(cleaned["content"])
                except orjson.JSONDecodeError as error:
                    self.add_error("content", f"This is not valid JSON: {error}.")
        return cleaned

    def call(self) -> tuple[str, Mapping[str, Any]]:
        cleaned = self.cleaned_data
        described = {name: cleaned[name] for name in ("name", "title", "description", "mime_type")}
        if self.instance.pk is None:
            given = {name: text for name, text in described.items() if text}
            target = {"uri": cleaned["uri"], "on_conflict": cleaned["on_conflict"]}
            return "resources/create", given | target | self._content()
        if not described["mime_type"]:
            del described["mime_type"]
        based = {"base_version": cleaned["base_version"], "on_conflict": OnConflict.REJECT.value}
        return "resources/write", described | based | {"uri": self.instance.uri} | self._content()

    def _content(self) -> dict[str, Any]:
        """The content to write; what was not edited is sent back as it was."""
        cleaned, initial = self.cleaned_data, self.initial
        is_edited = any(cleaned[name] != initial.get(name) for name in ("kind", "content") if name in cleaned)
        if self.instance.pk is None or is_edited:
            kind, text = cleaned["kind"], cleaned["content"]
        else:
            kind, text = initial["kind"], text_of(self.instance)
        return {kind: orjson.loads(text) if kind == Kind.JSON else text}


@admin.register(Resource)
class ResourcePage(PipelinePage):
    """The resources that exist, by URI."""

    form = ResourceForm
    view_needs = "resources:read"
    add_needs = change_needs = "resources:write"
    delete_needs = "resources:delete"
    list_display = ("uri", "name", "mime_type", "shown_size", "version", "updated_at")
    list_filter = ("kind", "on_conflict")
    search_fields = ("uri",)
    search_help_text = "The beginning of a URI"
    ordering = ("uri",)
    warn_unsaved_form = True
    readonly_fields = ("shown_size", "preview", "version", "created_at", "updated_at", "offset")

    @admin.display(description="size", ordering="size")
    def shown_size(self, resource: Resource) -> str:
        return str(filesizeformat(resource.size))

    @admin.display(description="content")
    def preview(self, resource: Resource) -> str:
        if not resource.mime_type.startswith("image/") or resource.size > PREVIEW_BYTES:
            return f"{resource.size} bytes of {resource.mime_type}"
        return format_html(
            '<img src="data:{};base64,{}" alt="{}" style="max-width: 480px; max-height: 480px">',
            resource.mime_type,
            text_of(resource),
            resource.name,
        )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Resource]:
        return super().get_queryset(request).filter(readable_by(request), deleted=False).defer("body")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Resource], search_term: str
    ) -> tuple[QuerySet[Resource], bool]:
        prefix = search_term.strip()
        return (queryset.filter(uri__gte=prefix, uri__lt=prefix + "\U0010ffff") if prefix else queryset), False

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        return self.readonly_fields if obj is None else (*self.readonly_fields, "uri", "on_conflict")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        described = ("uri", "name", "title", "description", "mime_type", "on_conflict")
        if obj is None:
            return ((None, {"fields": described}), ("Content", {"fields": ("kind", "content")}))
        content = ("preview",) if obj.kind == Kind.BLOB else ("kind", "content")
        return (
            (None, {"fields": (*described, "base_version")}),
            ("Content", {"fields": content}),
            ("State", {"fields": (("version", "offset", "shown_size"), ("created_at", "updated_at"))}),
        )

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"kind": Kind.JSON.value, "content": "{}"} | super().get_changeform_initial_data(request)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Looking at a resource is a read like any other, and leaves its entry."""
        resource = self.get_object(request, object_id)
        if resource is not None and request.method == "GET":
            try:
                ask_or_raise(request, "resources/read", {"uri": resource.uri, "consistency": "strong"})
            except Refusal as refusal:
                self.message_user(request, told(refusal), messages.ERROR)
                return HttpResponseRedirect(reverse("admin:resources_app_resource_changelist"))
        response: HttpResponse = super().change_view(request, object_id, form_url, extra_context)
        return response

    def trail_key(self, row: Resource) -> str:
        return row.uri

    def saved(self, form: PipelineForm) -> Resource:
        return Resource.objects.get(uri=form.result["uri"])

    def delete_rows(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        uris = [row.uri for row in rows]
        if len(uris) == 1:
            ask_or_raise(request, "resources/delete", {"uri": uris[0]})
            return
        for first in range(0, len(uris), BATCH):
            operations = [{"method": "resources/delete", "params": {"uri": uri}} for uri in uris[first : first + BATCH]]
            ask_or_raise(request, "resources/batch", {"operations": operations})


def _shown(stored: Resource) -> str:
    """Stored content as it is edited: text with the line ends of browsers' forms, JSON indented."""
    text = text_of(stored)
    if stored.kind == Kind.JSON:
        return orjson.dumps(orjson.loads(text), option=orjson.OPT_INDENT_2).decode()
    return text.replace("\r\n", "\n")
