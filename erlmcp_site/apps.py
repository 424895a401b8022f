from django.apps import AppConfig
from django.db.models.signals import pre_migrate

from erlmcp_site.databases import make_audit_schema


class SiteConfig(AppConfig):
    name = "erlmcp_site"
    verbose_name = "erlmcp"

    def ready(self) -> None:
        pre_migrate.connect(make_audit_schema, dispatch_uid="make_audit_schema")
