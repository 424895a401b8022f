import atexit
import gc
import logging

from django.apps import AppConfig
from django.conf import settings
from django.db.backends.signals import connection_created
from django.db.models.signals import pre_migrate

from erlmcp_site import USUAL_THRESHOLDS
from erlmcp_site.databases import make_audit_schema
from erlmcp_site.logs.queries import count_queries
from erlmcp_site.logs.uncaught import log_uncaught

log = logging.getLogger(__name__)


class SiteConfig(AppConfig):
    name = "erlmcp_site"
    verbose_name = "erlmcp"

    def ready(self) -> None:
        log_uncaught()
        # nearly all that was imported lives as long as the process; from here on there is garbage
        gc.freeze()
        gc.set_threshold(*USUAL_THRESHOLDS)
        # an interpreter that ends looks through all that it has imported for garbage: a third of a second
        atexit.register(gc.freeze)
        connection_created.connect(count_queries, dispatch_uid="count_queries")
        pre_migrate.connect(make_audit_schema, dispatch_uid="make_audit_schema")
        if settings.DEBUG:
            log.warning(
                "DEBUG is on: error pages show code and settings to whoever asks. Turn it off where others are."
            )
