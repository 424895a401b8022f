from django.apps import AppConfig

from telemetry_app.system import collect_system
from telemetry_app.tracing.sampling import sampler


class TelemetryConfig(AppConfig):
    name = "telemetry_app"
    verbose_name = "Telemetry"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        collect_system()
        sampler.start()
