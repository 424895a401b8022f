from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class ResourcesConfig(AppConfig):
    name = "resources_app"
    verbose_name = "Resources, log and subscriptions"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        post_migrate.connect(ensure_heads, sender=self)


def ensure_heads(sender: AppConfig, using: str, **signal: Any) -> None:
    """Every stream of the log has its head, after migrations and after a flush. For Django's `post_migrate`."""
    if using == "default":
        heads = sender.get_model("LogHead")._default_manager.using(using)
        for stream in ("changes", "control"):
            heads.get_or_create(stream=stream, defaults={"head": 0, "earliest": 1})
