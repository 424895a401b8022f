from typing import Any

from django.apps import AppConfig
from django.apps import apps as all_apps
from django.apps.registry import Apps
from django.db.models.signals import post_migrate


class ResourcesConfig(AppConfig):
    name = "resources_app"
    verbose_name = "Resources, log and subscriptions"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        post_migrate.connect(ensure_heads, sender=self)


def ensure_heads(using: str, apps: Apps = all_apps, **signal: Any) -> None:
    """Every stream of the log has its head, after migrations and after a flush. For Django's `post_migrate`.

    `apps` has the models as those migrations leave them, which may not be the latest.
    """
    if using == "default" and "loghead" in apps.all_models["resources_app"]:
        heads = apps.get_model("resources_app", "LogHead")._default_manager.using(using)
        for stream in ("changes", "control"):
            heads.get_or_create(stream=stream, defaults={"head": 0, "earliest": 1})
