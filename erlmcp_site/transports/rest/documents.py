"""What the answers look like, for the OpenAPI document; nothing is serialised by these classes."""

from typing import Any, get_args

from drf_spectacular.extensions import OpenApiSerializerExtension
from rest_framework import serializers

from audit_app.chain.bending import Kind as Bending
from erlmcp_site.methods.prompts import GetParams
from erlmcp_site.methods.search import SearchParams
from resources_app.serializers import (
    EVENT_TYPES,
    MAX_OFFSET,
    PatchParams,
    RestoreParams,
    SubscriptionParams,
    WriteParams,
)
from resources_app.state import Kind, OnConflict
from sessions_app.serializers import CreateParams, UpdateParams

RESOLUTION = serializers.ChoiceField([rule.value for rule in OnConflict], required=False)
"""How the conflict of a change of an old version was settled; of an answer to a change, or an event, only."""


class ResourceDocument(serializers.Serializer[Any]):
    """A resource; its content is in one of `content` (any JSON value), `text` or `blob` (base64), except in lists."""

    uri = serializers.CharField()
    name = serializers.CharField(allow_blank=True)
    title = serializers.CharField(allow_blank=True)
    description = serializers.CharField(allow_blank=True)
    mime_type = serializers.CharField()
    version = serializers.IntegerField(min_value=1)
    on_conflict = serializers.ChoiceField([rule.value for rule in OnConflict])
    size = serializers.IntegerField(min_value=0)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    offset = serializers.IntegerField(min_value=0)
    content = serializers.JSONField(required=False)
    text = serializers.CharField(required=False, allow_blank=True)
    blob = serializers.CharField(required=False, allow_blank=True)
    resolution = RESOLUTION


class Page(serializers.Serializer[Any]):
    """A page of a list; `next_cursor` asks for the next one, null says that this was the last."""

    next_cursor = serializers.CharField(allow_null=True)


class ResourcePage(Page):
    resources = ResourceDocument(many=True)


class MatchesDocument(serializers.Serializer[Any]):
    """Where it was found: the text in which fields, `content` included; the path at which places, the first ten."""

    fields = serializers.ListField(child=serializers.CharField())  # type: ignore[assignment]
    paths = serializers.ListField(child=serializers.CharField())


class FoundDocument(ResourceDocument):
    """A resource that was found; `matches` is there when the search asked for a text or a path."""

    matches = MatchesDocument(required=False)


class FoundPage(Page):
    """What was found; a page may end before it is full, so that each is bounded work."""

    resources = FoundDocument(many=True)


class SearchBody(SearchParams):
    """What to look for. All that is said has to hold; `value` is what the path has to lead to."""

    value = serializers.JSONField(required=False)  # type: ignore[assignment]


class CollectionDocument(serializers.Serializer[Any]):
    """A collection: resources whose URIs a template makes (RFC 6570, level 1)."""

    name = serializers.CharField()
    template = serializers.CharField()
    title = serializers.CharField(allow_blank=True)
    description = serializers.CharField(allow_blank=True)
    mime_type = serializers.CharField(allow_blank=True)


class CollectionPage(Page):
    templates = CollectionDocument(many=True)


class ArgumentDocument(serializers.Serializer[Any]):
    """An argument of a prompt."""

    name = serializers.CharField()
    title = serializers.CharField(required=False)
    description = serializers.CharField(required=False)
    required = serializers.BooleanField()  # type: ignore[assignment]


class PromptDocument(serializers.Serializer[Any]):
    """A prompt, and what it can be filled with."""

    name = serializers.CharField()
    title = serializers.CharField(allow_blank=True)
    description = serializers.CharField(allow_blank=True)
    arguments = ArgumentDocument(many=True)


class PromptPage(Page):
    prompts = PromptDocument(many=True)


class PromptBody(GetParams):
    """What to fill the prompt with."""

    name = None  # type: ignore[assignment]


class MessageDocument(serializers.Serializer[Any]):
    """A message for a model; its content is a block as MCP has it: text, image, audio, resource or resource_link."""

    role = serializers.ChoiceField(["user", "assistant"])
    content = serializers.DictField()


class FilledPrompt(serializers.Serializer[Any]):
    """The messages of a prompt, with arguments in their places and resources embedded."""

    name = serializers.CharField()
    title = serializers.CharField(allow_blank=True)
    description = serializers.CharField(allow_blank=True)
    messages = MessageDocument(many=True)


class CompletionDocument(serializers.Serializer[Any]):
    """At most a hundred values; `total` is there where it is known."""

    values = serializers.ListField(child=serializers.CharField(allow_blank=True))
    total = serializers.IntegerField(min_value=0, required=False)
    has_more = serializers.BooleanField()


class VersionDocument(serializers.Serializer[Any]):
    """One version of a resource, as its history tells of it."""

    uri = serializers.CharField()
    version = serializers.IntegerField(min_value=1)
    offset = serializers.IntegerField(min_value=1)
    type = serializers.ChoiceField(EVENT_TYPES)
    time = serializers.DateTimeField()
    name = serializers.CharField(allow_blank=True)
    title = serializers.CharField(allow_blank=True)
    mime_type = serializers.CharField()
    size = serializers.IntegerField(min_value=0)
    resolution = RESOLUTION


class HistoryPage(Page):
    versions = VersionDocument(many=True)


class DiffDocument(serializers.Serializer[Any]):
    """What differs between two versions: `patch` (RFC 6902) makes the content of `to` of that of `from`.

    The content is a JSON value, or the string that `text` or `blob` is; `kind` says which it is in `to`. `fields` holds
    what else differs, each with its old and its new value: `name`, `title`, `description`, `mime_type`, `on_conflict`
    and `kind`.
    """

    uri = serializers.CharField()
    to = serializers.IntegerField(min_value=1)
    kind = serializers.ChoiceField([kind.value for kind in Kind])
    patch = serializers.ListField(child=serializers.DictField())

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        pair = serializers.ListField(child=serializers.CharField(allow_blank=True), min_length=2, max_length=2)
        return super().get_fields() | {
            "from": serializers.IntegerField(min_value=1),
            "fields": serializers.DictField(child=pair, required=False),
        }


class Deleted(serializers.Serializer[Any]):
    """A resource that is gone; its deletion took a version, too."""

    uri = serializers.CharField()
    version = serializers.IntegerField(min_value=2)
    offset = serializers.IntegerField(min_value=1)
    resolution = RESOLUTION


class BatchResults(serializers.Serializer[Any]):
    """The resources after the batch, one for each operation, in order, without their content."""

    results = ResourceDocument(many=True)


class CreateBody(WriteParams):
    """A new resource: one of `content` (any JSON value), `text` and `blob` (base64), and what else is to be set."""

    must_exist = None  # type: ignore[assignment]
    content = serializers.JSONField(required=False)  # type: ignore[assignment]
    text = serializers.CharField(required=False, allow_blank=True)  # type: ignore[assignment]
    blob = serializers.CharField(required=False, allow_blank=True)  # type: ignore[assignment]


class WriteBody(CreateBody):
    """The representation of a resource: one of `content`, `text` and `blob`, and what else is to be set."""

    uri = None  # type: ignore[assignment]


class PatchQuery(PatchParams):
    """What the query of a patch may say."""

    uri = None  # type: ignore[assignment]
    must_exist = None  # type: ignore[assignment]
    patch = None  # type: ignore[assignment]
    patch_type = None  # type: ignore[assignment]


class RestoreQuery(RestoreParams):
    """What the query of a restore says: `restore` is the version."""

    uri = None  # type: ignore[assignment]
    must_exist = None  # type: ignore[assignment]
    version = None  # type: ignore[assignment]
    restore = serializers.IntegerField(min_value=1, max_value=MAX_OFFSET)


class TokenPair(serializers.Serializer[Any]):
    """`expires_in` is the life of the access token in seconds; `scope` is there when the login named one."""

    access = serializers.CharField()
    refresh = serializers.CharField()
    expires_in = serializers.IntegerField(min_value=0)
    scope = serializers.CharField(required=False)


class SessionBody(UpdateParams):
    """What of a session its owner may change."""

    session = None  # type: ignore[assignment]


class SessionDocument(serializers.Serializer[Any]):
    """A session. `offset` is the position in the log that it has written or been told of.

    `client_id`, `label` and `metadata` are left out where they are kept encrypted and cannot be opened.
    """

    id = serializers.CharField()
    user = serializers.CharField()
    state = serializers.CharField()
    reason = serializers.CharField(allow_blank=True)
    client_id = serializers.CharField(allow_blank=True, required=False)
    label = serializers.CharField(allow_blank=True, required=False)  # type: ignore[assignment]
    metadata = serializers.DictField(required=False)
    backend = serializers.ChoiceField(["database", "cache"])
    created_at = serializers.DateTimeField()
    last_active_at = serializers.DateTimeField()
    offset = serializers.IntegerField(min_value=0)


class SessionPage(Page):
    sessions = SessionDocument(many=True)


class OptionsDocument(serializers.Serializer[Any]):
    """How events come."""

    batch_size = serializers.IntegerField(min_value=1, max_value=1000)
    throttle_ms = serializers.IntegerField(min_value=0, max_value=60_000)
    delta = serializers.BooleanField()
    include_content = serializers.BooleanField()


class SubscriptionBody(SubscriptionParams):
    """What to follow, and from where: "now", "earliest" or an offset."""


class SubscriptionDocument(serializers.Serializer[Any]):
    """A durable subscription; `offset` is where it resumes when a client names none."""

    id = serializers.CharField()
    resource = serializers.CharField()
    events = serializers.ListField(child=serializers.ChoiceField(EVENT_TYPES))
    client_id = serializers.CharField(allow_blank=True)
    created = serializers.DateTimeField()
    label = serializers.CharField(allow_blank=True)  # type: ignore[assignment]
    options = OptionsDocument()
    offset = serializers.IntegerField(min_value=0)


class SubscriptionPage(Page):
    subscriptions = SubscriptionDocument(many=True)


class EventDocument(serializers.Serializer[Any]):
    """A change of a resource: CloudEvents 1.0, structured mode.

    `data` is the resource after the change; for a subscription with `delta` it may be {"patch", "base_version"}: a JSON
    Patch (RFC 6902) that turns the `content` of that version, which the same answer has told, into that of this one.
    """

    specversion = serializers.ChoiceField(["1.0"])
    id = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]
    subject = serializers.CharField()
    type = serializers.ChoiceField([f"erlmcp.resource.{kind}" for kind in EVENT_TYPES])
    time = serializers.DateTimeField()
    datacontenttype = serializers.CharField()
    offset = serializers.IntegerField(min_value=1)
    version = serializers.IntegerField(min_value=1)
    resolution = RESOLUTION
    traceparent = serializers.CharField(required=False)
    tracestate = serializers.CharField(required=False)
    data = serializers.DictField()  # type: ignore[assignment]


class Events(serializers.Serializer[Any]):
    """The next events; asking again after `offset` gets what comes then."""

    events = EventDocument(many=True)
    offset = serializers.IntegerField(min_value=0)


class Acknowledged(serializers.Serializer[Any]):
    """Where the subscription resumes from now on."""

    subscription = serializers.CharField()
    offset = serializers.IntegerField(min_value=0)


class EntryDocument(serializers.Serializer[Any]):
    """An entry of the audit trail."""

    id = serializers.UUIDField()
    sequence = serializers.IntegerField(min_value=1)
    timestamp = serializers.DateTimeField()
    queue = serializers.ChoiceField(["security", "data", "system"])
    user_id = serializers.CharField(allow_blank=True)
    user = serializers.CharField(allow_blank=True)
    action = serializers.CharField()
    outcome = serializers.ChoiceField(["success", "refused", "error"])
    code = serializers.CharField(required=False)
    resource_type = serializers.CharField(allow_blank=True)
    resource_id = serializers.CharField(allow_blank=True)
    details = serializers.DictField()
    source_ip = serializers.CharField(allow_blank=True)
    user_agent = serializers.CharField(allow_blank=True)
    session_id = serializers.CharField(allow_blank=True)
    request_id = serializers.CharField(allow_blank=True)
    transport = serializers.CharField()
    prev_hash = serializers.CharField(allow_null=True)
    hash = serializers.CharField(allow_null=True)


class EntryPage(Page):
    entries = EntryDocument(many=True)


class VerificationDocument(serializers.Serializer[Any]):
    """What was verified. `sequence`, `kind` and `why` are there when `ok` is false: the first entry not in order."""

    ok = serializers.BooleanField()
    sequence = serializers.IntegerField(required=False)
    kind = serializers.ChoiceField(get_args(Bending), required=False)
    why = serializers.CharField(required=False)
    first = serializers.IntegerField(min_value=1)
    last = serializers.IntegerField(min_value=0)
    entries = serializers.IntegerField(min_value=0)
    checkpoints = serializers.IntegerField(min_value=0)
    unsigned = serializers.IntegerField(min_value=0)
    archived = serializers.IntegerField(min_value=0)
    keys = serializers.DictField(child=serializers.ChoiceField(["pinned", "file", "database"]))


class Representation(serializers.Serializer[Any]):
    """What a read of one resource answers: a ResourceDocument.

    With `history` a HistoryPage, with `diff` a DiffDocument, with `raw` the content.
    """


class NewSession(CreateParams):
    """What may be said of a session when it is made."""


class Revoked(serializers.Serializer[Any]):
    """There is nothing to tell."""


class Snapshot(serializers.Serializer[Any]):
    """Health checks, figures of the last minute and all metrics of the node that answered, and its slow topics."""


class ProfileDocument(serializers.Serializer[Any]):
    """Where a process spent its time: `profile` is a text of the `format` asked for."""

    pid = serializers.IntegerField()
    seconds = serializers.FloatField()
    samples = serializers.IntegerField()
    format = serializers.CharField()
    profile = serializers.CharField()


class RepresentationSchema(OpenApiSerializerExtension):
    """Any of the four."""

    target_class = "erlmcp_site.transports.rest.documents.Representation"

    def map_serializer(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        documents = (ResourceDocument, HistoryPage, DiffDocument)
        kinds = [auto_schema.resolve_serializer(document, direction).ref for document in documents]
        return {"anyOf": [*kinds, {"description": "The content of the resource."}]}
