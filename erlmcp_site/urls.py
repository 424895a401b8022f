"""Where everything is (contract §2).

`lean_routes` are answered by the lean handler (erlmcp_site/transports/http/lean.py), the rest by Django's own.
"""

from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularSwaggerSplitView

from erlmcp_site.admin.access import explain
from erlmcp_site.admin.encryption import encryption
from erlmcp_site.admin.live import live
from erlmcp_site.admin.policy import policy
from erlmcp_site.console import console
from erlmcp_site.transports.mcp.authorization import metadata
from erlmcp_site.transports.rest import pages
from erlmcp_site.transports.sse.views import StreamView

lean_routes = [
    path("api/v1/events/stream", StreamView.as_view()),
    path("api/v1/schema", pages.openapi, name="schema"),
    path("api/v1/asyncapi.yaml", pages.asyncapi),
    path("api/v1/", include("erlmcp_site.transports.rest.urls")),
    path("health/live", pages.live),
    path("health/ready", pages.ready),
    path("health/startup", pages.startup),
    path("metrics", pages.metrics),
    path(".well-known/jwks.json", pages.keys),
    path(".well-known/oauth-protected-resource", metadata),
    path(".well-known/oauth-protected-resource/mcp", metadata),
]

admin.autodiscover()

documentation = SpectacularSwaggerSplitView.as_view(url_name="schema", template_name="erlmcp_site/documentation.html")

urlpatterns = [
    path("api/v1/docs", documentation, name="docs"),
    *lean_routes,
    path("admin/access/", admin.site.admin_view(explain)),
    path("admin/audit-policy/", admin.site.admin_view(policy)),
    path("admin/encryption/", admin.site.admin_view(encryption)),
    path("admin/live/", admin.site.admin_view(live)),
    path("admin/", admin.site.urls),
    path("", console),
]
