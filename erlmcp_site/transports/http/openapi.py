"""How handlers describe themselves in the OpenAPI document (drf-spectacular)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers

from erlmcp_site.methods.table import METHODS
from erlmcp_site.transports.wire import ROWS
from resources_app.uris import MAX_URI_BYTES

H = TypeVar("H", bound=Callable[..., Any])

BEARER: list[dict[str, list[str]]] = [{"bearer": []}]
PROBLEM_TYPE = "application/problem+json"
VERSION_TAG = r'^"[0-9]{1,18}"$'
SECONDS = r"^([1-9][0-9]?|[1-5][0-9]{2})(\.[0-9]{1,6})?$"
VERSION_OR_ANY = r'^("[0-9]{1,18}"|\*)$'

ALWAYS = ("invalid_request", "invalid_params", "rate_limited", "internal_error", "unavailable", "deadline_exceeded")
FOR_CALLERS = ("unauthenticated", "forbidden", "resource_not_found")
WITH_BODY = ("parse_error", "too_deep", "too_large", "unsupported_media_type")


class Problem(serializers.Serializer[Any]):
    """A refusal (RFC 9457); a code may tell more, like `errors`, `current_version`, `conflicting_paths`, `head`."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    code = serializers.ChoiceField(sorted(ROWS))
    category = serializers.ChoiceField(["retryable", "recoverable", "fatal"])
    request_id = serializers.CharField()
    retry_after = serializers.FloatField(required=False)


def header(name: str, description: str, **more: Any) -> OpenApiParameter:
    """A header that a request may have."""
    return OpenApiParameter(name, OpenApiTypes.STR, OpenApiParameter.HEADER, description=description, **more)


def query(
    name: str, description: str, kind: OpenApiTypes | dict[str, Any] = OpenApiTypes.STR, **more: Any
) -> OpenApiParameter:
    """A field that the query of a request may have."""
    return OpenApiParameter(name, kind, OpenApiParameter.QUERY, description=description, **more)


REQUEST_HEADERS = (
    header("Session-Id", "The session to use; else that of the token.", pattern="^[!-~]{1,128}$"),
    header("Request-Id", "Comes back in the answer, and stands in the audit trail.", pattern="^[A-Za-z0-9._-]{1,128}$"),
    header("Request-Timeout", "For how many seconds the caller waits, up to 600.", pattern=SECONDS),
    header("traceparent", "The caller's span (W3C Trace Context); one that is not valid is ignored."),
    header("tracestate", "What goes along with it."),
)
IDEMPOTENCY_KEY = header(
    "Idempotency-Key",
    "Do this once, however often it is asked within a day: a repeat is answered as the first time.",
    pattern="^[!-~]{1,255}$",
)
REPLAYED = OpenApiParameter(
    "Idempotent-Replayed",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    response=True,
    enum=["true"],
    description="The request was done before, under the same Idempotency-Key.",
)
ANSWER_HEADERS = (
    OpenApiParameter("Request-Id", OpenApiTypes.STR, OpenApiParameter.HEADER, response=True, required=True),
    OpenApiParameter(
        "Log-Offset",
        OpenApiTypes.INT64,
        OpenApiParameter.HEADER,
        response=True,
        required=True,
        description="The position in the log that the answer reflects.",
    ),
    OpenApiParameter(
        "traceparent",
        OpenApiTypes.STR,
        OpenApiParameter.HEADER,
        response=True,
        description="The span of the request, for a caller who has named one.",
    ),
    OpenApiParameter(
        "RateLimit-Policy",
        OpenApiTypes.STR,
        OpenApiParameter.HEADER,
        response=True,
        description='The limits that the request counted against: `"caller";q=1000;w=1`, so many in so many seconds.',
    ),
    OpenApiParameter(
        "RateLimit",
        OpenApiTypes.STR,
        OpenApiParameter.HEADER,
        response=True,
        description='What they leave: `"caller";r=999;t=1`, so many now, and more in so many seconds.',
    ),
    OpenApiParameter(
        "Retry-After",
        OpenApiTypes.INT,
        OpenApiParameter.HEADER,
        response=[429, 503],
        description="In how many seconds asking again is of use.",
    ),
)


def documented(
    method: str,
    answers: Mapping[Any, Any],
    *,
    parameters: Sequence[Any] = (),
    body: Any = None,
    refusals: Iterable[str] = (),
    statuses: Mapping[int, str] | None = None,
    public: bool = False,
) -> Callable[[H], H]:
    """Describe a handler: the method of the table, what it takes, every answer that it may give. Its `method` tells it.

    `answers` maps a status, or (status, media type), to a serializer or None. `refusals` are codes beside those that
    every method may be refused with; `statuses` are refusals whose status is not that of their code. What takes an
    idempotency key, the table of methods says.
    """
    codes = {*ALWAYS, *(() if public else FOR_CALLERS), *(WITH_BODY if body is not None else ()), *refusals}
    keyed: Sequence[Any] = ()
    if METHODS[method].takes_key:
        codes.add("idempotency_mismatch")
        keyed = (IDEMPOTENCY_KEY, REPLAYED)
    describe: Callable[[H], H] = extend_schema(
        operation_id=method.replace("/", "_"),
        tags=[method.partition("/")[0]],
        parameters=[*parameters, *(() if public else REQUEST_HEADERS), *keyed, *ANSWER_HEADERS],
        request=body,
        responses={**answers, **_problems(codes, statuses or {})},
        auth=[] if public else BEARER,  # type: ignore[arg-type]
    )

    def name_and_describe(handler: H) -> H:
        handler.method = method  # type: ignore[attr-defined]
        return describe(handler)

    return name_and_describe


def _problems(codes: Iterable[str], statuses: Mapping[int, str]) -> dict[tuple[int, str], OpenApiResponse]:
    by_status: dict[int, list[str]] = {status: [code] for status, code in statuses.items()}
    for code in sorted(codes):
        by_status.setdefault(ROWS[code].http, []).append(code)
    return {
        (status, PROBLEM_TYPE): OpenApiResponse(Problem, description=", ".join(of_status))
        for status, of_status in by_status.items()
    }


class FromFieldSchema(OpenApiSerializerFieldExtension):
    """Where to begin."""

    target_class = "resources_app.serializers.FromField"

    def map_serializer_field(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        return {"anyOf": [{"type": "string", "enum": ["now", "earliest"]}, {"type": "integer", "minimum": 0}]}


class UriFieldSchema(OpenApiSerializerFieldExtension):
    """The URI of a resource."""

    target_class = "resources_app.serializers.UriField"
    pattern = r"^(?!resource://[^/]*$)[A-Za-z][A-Za-z0-9+.-]*://[^/?#]+(/[^?#]+)?$"

    def map_serializer_field(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        return {"type": "string", "format": "uri", "maxLength": MAX_URI_BYTES, "pattern": self.pattern}


class PatternFieldSchema(UriFieldSchema):
    """The URI of a resource, or one that ends in /* (all below) or /+ (one level)."""

    target_class = "resources_app.serializers.PatternField"
    pattern = r"^(?!resource://[^/]*$)[A-Za-z][A-Za-z0-9+.-]*://[^/?#]+(/[^?#]+)?$"


class AreaFieldSchema(UriFieldSchema):
    """Where a rule of access holds: like a pattern, or * for everywhere."""

    target_class = "sessions_app.access.serializers.AreaField"
    pattern = r"^(\*|(?!resource://[^/]*$)[A-Za-z][A-Za-z0-9+.-]*://[^/?#]+(/[^?#]+)?)$"
