from django.apps import AppConfig


class EncryptionConfig(AppConfig):
    name = "encryption_app"
    verbose_name = "Encryption"
    default_auto_field = "django.db.models.BigAutoField"
