"""What each method may answer, by name; the pipeline holds results to it, a test holds the OpenAPI document to it."""

from erlmcp_site.pipeline.results import Shape, shape

NOTHING = shape()

RESOURCE_NAMES = (
    *("uri", "name", "title", "description", "mime_type", "version", "on_conflict", "size"),
    *("created_at", "updated_at", "offset", "content", "text", "blob", "resolution"),
)
RESOURCE = shape(*RESOURCE_NAMES)
FOUND = shape(*RESOURCE_NAMES, matches=shape("fields", "paths"))
DELETED = shape("uri", "version", "offset", "resolution")
VERSION = shape("uri", "version", "offset", "type", "time", "name", "title", "mime_type", "size", "resolution")
TOKENS = shape("access", "refresh", "expires_in", "scope")
KEY_NAMES = ("id", "prefix", "user", "label", "scope", "created_at", "expires_at", "last_used_at")
KEY = shape(*KEY_NAMES)
RULE = shape(
    *("id", "user", "group", "everyone", "pattern", "verbs", "effect"),
    *("created_by", "created_at", "expires_at"),
)
VERDICT = shape("allowed", "why", rule=RULE)
SESSION = shape(
    *("id", "user", "state", "reason", "client_id", "label", "metadata", "backend"),
    *("created_at", "last_active_at", "offset"),
)
OPTIONS = shape("batch_size", "throttle_ms", "delta", "include_content")
SUBSCRIPTION = shape("id", "resource", "events", "client_id", "created", "label", "offset", options=OPTIONS)
EVENT = shape(
    *("specversion", "id", "source", "subject", "type", "time", "datacontenttype"),
    *("offset", "version", "resolution", "traceparent", "tracestate", "data"),
)
ENTRY = shape(
    *("id", "sequence", "timestamp", "queue", "user_id", "user", "action", "outcome", "code"),
    *("resource_type", "resource_id", "details", "source_ip", "user_agent", "session_id", "request_id"),
    *("transport", "prev_hash", "hash"),
)
FOLLOWED = shape("subscription", "offset")

COLLECTION = shape("name", "template", "title", "description", "mime_type")
ARGUMENT = shape("name", "title", "description", "required")

RESULTS: dict[str, Shape] = {
    "server/discover": shape("name", "version"),
    "tools/list": shape("tools"),
    "auth/login": TOKENS,
    "auth/refresh": TOKENS,
    "auth/revoke": NOTHING,
    "auth/authenticate": shape("user", "session", "expires_at"),
    "keys/create": shape(*KEY_NAMES, "key"),
    "keys/list": shape("next_cursor", keys=KEY),
    "keys/revoke": NOTHING,
    "access/list": shape("next_cursor", rules=RULE),
    "access/grant": RULE,
    "access/revoke": NOTHING,
    "access/explain": shape(
        "user", "uri", verbs=shape(read=VERDICT, write=VERDICT, delete=VERDICT, subscribe=VERDICT, admin=VERDICT)
    ),
    "sessions/create": SESSION,
    "sessions/get": SESSION,
    "sessions/list": shape("next_cursor", sessions=SESSION),
    "sessions/update": SESSION,
    "sessions/close": NOTHING,
    "sessions/suspend": SESSION,
    "sessions/resume": SESSION,
    "resources/list": shape("next_cursor", resources=RESOURCE),
    "resources/search": shape("next_cursor", resources=FOUND),
    "resources/templates": shape("next_cursor", templates=COLLECTION),
    "resources/read": RESOURCE,
    "resources/history": shape("next_cursor", versions=VERSION),
    "resources/diff": shape("uri", "from", "to", "kind", "patch", "fields"),
    "resources/create": RESOURCE,
    "resources/write": RESOURCE,
    "resources/patch": RESOURCE,
    "resources/restore": RESOURCE,
    "resources/delete": DELETED,
    "resources/batch": shape(results=RESOURCE),
    "prompts/list": shape("next_cursor", prompts=shape("name", "title", "description", arguments=ARGUMENT)),
    "prompts/get": shape("name", "title", "description", messages=shape("role", "content")),
    "completion/complete": shape("values", "total", "has_more"),
    "resources/subscribe": FOLLOWED,
    "resources/unsubscribe": NOTHING,
    "subscriptions/create": SUBSCRIPTION,
    "subscriptions/get": SUBSCRIPTION,
    "subscriptions/list": shape("next_cursor", subscriptions=SUBSCRIPTION),
    "subscriptions/delete": NOTHING,
    "events/poll": shape("offset", events=EVENT),
    "events/stream": FOLLOWED,
    "events/listen": shape("uris", "lists", "offset"),
    "events/ack": FOLLOWED,
    "audit/list": shape("next_cursor", entries=ENTRY),
    "audit/verify": shape(
        *("ok", "sequence", "kind", "why", "first", "last"),
        *("entries", "checkpoints", "unsigned", "archived", "keys"),
    ),
    "telemetry/snapshot": shape("health", "figures", "slow_topics", "metrics"),
    "telemetry/profile": shape("pid", "seconds", "samples", "format", "profile"),
}
