"""The addresses of REST, below /api/v1 (contract §2). Paths arrive as the client wrote them, percent-escapes kept."""

from django.urls import path, register_converter
from django.urls.converters import StringConverter

from erlmcp_site.transports.rest.access import AccessView, ExplainView, RuleView
from erlmcp_site.transports.rest.agents import CompletionView, PromptsView, PromptView, TemplatesView
from erlmcp_site.transports.rest.callers import (
    LoginView,
    RefreshView,
    ResumeView,
    RevokeView,
    SessionsView,
    SessionView,
    SuspendView,
)
from erlmcp_site.transports.rest.keys import KeysView, KeyView
from erlmcp_site.transports.rest.oversight import AuditView, ProfileView, TelemetryView, VerifyView
from erlmcp_site.transports.rest.resources import BatchView, ResourcesView, ResourceView, SearchView
from erlmcp_site.transports.rest.subscriptions import (
    AcknowledgeView,
    EventsView,
    SubscriptionsView,
    SubscriptionView,
)


class AnySegment(StringConverter):
    """A segment that may be empty: what is wrong with it, the method says."""

    regex = "[^/]*"


class AnyPath(StringConverter):
    """The rest of the path, whatever it is."""

    regex = ".*"


register_converter(AnySegment, "any_segment")
register_converter(AnyPath, "any_path")

urlpatterns = [
    path("resources/<any_segment:authority>/<any_path:path>", ResourceView.as_view()),
    path("resources", ResourcesView.as_view()),
    path("resources/batch", BatchView.as_view()),
    path("resources/search", SearchView.as_view()),
    path("resources/<any_segment:authority>", ResourceView.as_view(schema=None)),
    path("resource-templates", TemplatesView.as_view()),
    path("prompts", PromptsView.as_view()),
    path("prompts/<str:name>", PromptView.as_view()),
    path("completion", CompletionView.as_view()),
    path("auth/login", LoginView.as_view()),
    path("auth/refresh", RefreshView.as_view()),
    path("auth/revoke", RevokeView.as_view()),
    path("keys", KeysView.as_view()),
    path("keys/<str:id>", KeyView.as_view()),
    path("sessions", SessionsView.as_view()),
    path("sessions/<str:session>", SessionView.as_view()),
    path("sessions/<str:session>/suspend", SuspendView.as_view()),
    path("sessions/<str:session>/resume", ResumeView.as_view()),
    path("subscriptions", SubscriptionsView.as_view()),
    path("subscriptions/<str:subscription>", SubscriptionView.as_view()),
    path("events", EventsView.as_view()),
    path("events/ack", AcknowledgeView.as_view()),
    path("access", AccessView.as_view()),
    path("access/explain", ExplainView.as_view()),
    path("access/<str:rule>", RuleView.as_view()),
    path("audit", AuditView.as_view()),
    path("audit/verify", VerifyView.as_view()),
    path("telemetry", TelemetryView.as_view()),
    path("telemetry/profile", ProfileView.as_view()),
]
