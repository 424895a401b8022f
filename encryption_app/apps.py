from django.apps import AppConfig
from django.core.checks import register

from encryption_app.checks import TAG, check_providers


class EncryptionConfig(AppConfig):
    name = "encryption_app"
    verbose_name = "Encryption"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        register(check_providers, TAG)
