from django.apps import AppConfig


class ResourcesConfig(AppConfig):
    name = "resources_app"
    verbose_name = "Resources, log and subscriptions"
    default_auto_field = "django.db.models.BigAutoField"
