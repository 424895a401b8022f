"""What the pages of the admin have in common: permissions of our own, and saving by the pipeline instead of the ORM."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, cast

import orjson
from django import forms
from django.contrib import messages
from django.contrib.admin import ModelAdmin as DjangoModelAdmin
from django.contrib.auth.models import User
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.views.decorators.csrf import csrf_protect
from unfold.admin import ModelAdmin

from audit_app.errors import Refusal
from erlmcp_site.admin.requests import ask, ask_or_raise
from erlmcp_site.pipeline.messages import Reply
from sessions_app.access.queries import readable
from sessions_app.authentication import rights_of
from sessions_app.permissions import DJANGO_NAMES

BLOCK = "white-space: pre-wrap; overflow-wrap: anywhere; max-height: 40rem; overflow-y: auto"


def pretty_json(text: str | bytes) -> SafeString:
    """JSON as a block of indented lines, which scrolls when it is long."""
    shown = orjson.dumps(orjson.loads(text), option=orjson.OPT_INDENT_2).decode()
    return format_html('<pre class="text-sm" style="{}">{}</pre>', BLOCK, shown)


def told(refusal: Refusal) -> str:
    """What a refusal says to somebody who sits in front of a form."""
    current = refusal.data.get("current_version")
    if current is not None:
        return f"{refusal.message} It is at version {current} now: open it again to see that version."
    return refusal.message


class Page(ModelAdmin):
    """A page whose rights are permissions of the contract ("resources:read"); an action without one is nobody's."""

    view_needs: ClassVar[str]
    add_needs: ClassVar[str | None] = None
    change_needs: ClassVar[str | None] = None
    delete_needs: ClassVar[str | None] = None
    list_per_page = 50
    show_full_result_count = False

    def trail_key(self, row: Any) -> str:
        """What the trail is searched for to tell the history of a row."""
        return str(row.pk)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Anything but regular expressions: a wrong one fails, and a slow one holds the database."""
        return not lookup.endswith("regex") and super().lookup_allowed(lookup, value, request)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """What happened to a row, from the trail."""
        row = self.get_object(request, object_id)
        wanted = f"?{urlencode({'q': self.trail_key(row)})}" if row is not None else ""
        return HttpResponseRedirect(reverse("admin:audit_app_auditentry_changelist") + wanted)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return may(request, self.view_needs)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return may(request, self.add_needs)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return may(request, self.change_needs)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return may(request, self.delete_needs)


class PipelineForm(forms.ModelForm):
    """A form that is saved by asking the pipeline.

    That is done at the end of the validation, since only the writer can say whether a change is valid; `reply` is the
    answer, and a refusal is an error of the form. `ask` comes from the page.
    """

    ask: ClassVar[Callable[[str, Mapping[str, Any]], Reply]]
    reply: Reply

    def call(self) -> tuple[str, Mapping[str, Any]]:
        """The method to ask, and its parameters."""
        raise NotImplementedError

    def full_clean(self) -> None:
        super().full_clean()
        if self.is_bound and not self.errors:
            self.reply = type(self).ask(*self.call())
            if self.reply.refusal is not None:
                self._refuse(self.reply.refusal)

    @property
    def result(self) -> dict[str, Any]:
        """The result of the method."""
        return cast(dict[str, Any], orjson.loads(orjson.dumps(self.reply.result)))

    def _refuse(self, refusal: Refusal) -> None:
        errors = refusal.data.get("errors")
        if isinstance(errors, Mapping):
            for name, found in errors.items():
                self.add_error(name if name in self.fields else None, [str(error) for error in _flat(found)])
        else:
            self.add_error("uri" if refusal.code == "invalid_uri" and "uri" in self.fields else None, told(refusal))


class Untransacted(DjangoModelAdmin):
    """Forms that the writer saves: without a transaction of the page's own, and without Django's history of the admin.

    Django wraps them in one, which on SQLite would hold the only write lock while the writer, on another connection,
    is asked to commit. What Django wraps has no public name, and no stub.
    """

    @method_decorator(csrf_protect)
    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        return self._changeform_view(request, object_id, form_url, extra_context)  # type: ignore[attr-defined]

    @method_decorator(csrf_protect)
    def delete_view(self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None) -> Any:
        return self._delete_view(request, object_id, extra_context)  # type: ignore[attr-defined]

    def log_addition(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        """The trail has it."""

    def log_change(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        """The trail has it."""

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        """The trail has it."""


class PipelinePage(Page, Untransacted):
    """A page whose saves and deletes are requests like everybody's: decided, logged and audited by the writer.

    `deleting` is the method that deletes a row, and the parameter that names it by its key.
    """

    form: type[PipelineForm]
    deleting: ClassVar[tuple[str, str]]

    def saved(self, form: PipelineForm) -> Any:
        """The row that the form's request has written."""
        return self.model._default_manager.get(pk=form.result["id"])

    def delete_rows(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        """Have rows deleted. Raises the refusal."""
        method, name = self.deleting
        for row in rows:
            ask_or_raise(request, method, {name: row.pk})

    def get_form(self, request: HttpRequest, obj: Model | None = None, change: bool = False, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, obj, change, **kwargs)
        form.ask = lambda method, params: ask(request, method, params)
        return form

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> Any:
        return self.saved(form)

    def save_model(self, request: HttpRequest, obj: Model, form: Any, change: bool) -> None:
        """The form's request has saved it."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """There is nothing related."""

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        self.delete_rows(request, [obj])

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self.delete_rows(request, list(queryset))

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None) -> Any:
        try:
            return super().delete_view(request, object_id, extra_context)
        except Refusal as refusal:
            return self._refused(request, refusal)

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any], *where: Any) -> HttpResponse | None:
        try:
            return super().response_action(request, queryset, *where)
        except Refusal as refusal:
            return self._refused(request, refusal)

    def _refused(self, request: HttpRequest, refusal: Refusal) -> HttpResponse:
        self.message_user(request, told(refusal), messages.ERROR)
        return HttpResponseRedirect(request.get_full_path())


def readable_by(request: HttpRequest) -> Q:
    """Which rows with a `uri` the admin's user may read."""
    return readable(rights_of(cast(User, request.user)))


def may(request: HttpRequest, need: str | None) -> bool:
    """Whether the admin's user has a permission of the contract; nobody has None."""
    return need is not None and request.user.is_active and request.user.has_perm(DJANGO_NAMES[need])


def _flat(errors: Any) -> list[Any]:
    """The messages in a tree of validation errors."""
    if isinstance(errors, Mapping):
        errors = list(errors.values())
    return [leaf for error in errors for leaf in _flat(error)] if isinstance(errors, list) else [errors]
