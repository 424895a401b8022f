from django.apps import AppConfig
from django.db.models.signals import post_migrate

from sessions_app.permissions import ensure_groups


class SessionsConfig(AppConfig):
    name = "sessions_app"
    verbose_name = "Sessions and callers"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        post_migrate.connect(ensure_groups, sender=self)
