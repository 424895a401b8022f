from django.apps import AppConfig

from telemetry_app.system import collect_system, forget_defaults
from telemetry_app.tracing.tracer import tracer


class TelemetryConfig(AppConfig):
    name = "telemetry_app"
    verbose_name = "Telemetry"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        forget_defaults()
        collect_system()
        tracer.start()
