"""All settings of erlmcp: each has a default, and the environment overrides it (README, table of settings)."""

import socket
import sys
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from erlmcp_site.databases import databases
from erlmcp_site.environment import (
    env_bool,
    env_certificate,
    env_choice,
    env_database,
    env_encryption,
    env_graphite,
    env_int,
    env_issuers,
    env_list,
    env_networks,
    env_optional_choice,
    env_optional_port,
    env_optional_rate,
    env_origins,
    env_otlp,
    env_pairs,
    env_policy,
    env_port,
    env_rate,
    env_ratio,
    env_redaction,
    env_resource,
    env_retention,
    env_seconds,
    env_sinks,
    env_string,
    env_url,
    secret_in,
)
from erlmcp_site.frameworks import AUTH_PASSWORD_VALIDATORS as AUTH_PASSWORD_VALIDATORS
from erlmcp_site.frameworks import AUTHENTICATION_BACKENDS as AUTHENTICATION_BACKENDS
from erlmcp_site.frameworks import INSTALLED_APPS as INSTALLED_APPS
from erlmcp_site.frameworks import MIDDLEWARE as MIDDLEWARE
from erlmcp_site.frameworks import REST_FRAMEWORK as REST_FRAMEWORK
from erlmcp_site.frameworks import SPECTACULAR_SETTINGS as SPECTACULAR_SETTINGS
from erlmcp_site.frameworks import TEMPLATES as TEMPLATES
from erlmcp_site.frameworks import UNFOLD as UNFOLD
from erlmcp_site.production import objections
from erlmcp_site.serving import file_broker
from telemetry_app.collectors import PROTOCOLS

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = Path(env_string("VAR_DIR", str(BASE_DIR / "var"))).resolve()
VAR_DIR.mkdir(parents=True, exist_ok=True)

# Where it listens

HOST = env_string("HOST", "127.0.0.1")
PORT = env_port("PORT", "8000")
GRPC_PORT = env_optional_port("GRPC_PORT", "50051")
# how long a web process that was told to end is only not ready, so that balancers look elsewhere; and then, in how long
# it lets go of its sockets and streams
DRAIN_NOTICE_SECONDS = env_seconds("DRAIN_NOTICE_SECONDS", "1", most=60)
DRAIN_SECONDS = env_seconds("DRAIN_SECONDS", "3", most=300)
# new sockets and streams of one process: who comes faster waits for a turn, or is told to come back
ADMIT_STREAMS = env_rate("ADMIT_STREAMS", "600/s")
WEB_WORKERS = env_int("WEB_WORKERS", "1", least=1, most=256)
ALLOWED_HOSTS = env_list("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
ALLOWED_ORIGINS = env_origins("ALLOWED_ORIGINS")
TRUSTED_PROXIES = env_networks("TRUSTED_PROXIES")
# reached by others, over TLS that a proxy ends: production.py says what that demands
PRODUCTION = env_bool("PRODUCTION", "0")
DEBUG = env_bool("DEBUG", "0")

# below this much room on the disk of VAR_DIR, or of SQLite's files, /health/ready says so
DISK_LOW_BYTES = env_int("DISK_LOW_BYTES", str(256 * 1024 * 1024))

# Databases

DATABASES = databases(
    env_database("DATABASE_URL"),
    env_database("AUDIT_DATABASE_URL"),
    VAR_DIR,
)
DATABASE_ROUTERS = ["erlmcp_site.databases.AuditRouter"]
ON_SQLITE = DATABASES["default"]["ENGINE"].endswith("sqlite3")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Redis: cache, rings between processes, Celery broker

REDIS_URL = env_url("REDIS_URL", ("redis://", "rediss://", "unix://"))
REDIS_TIMEOUTS = {"socket_connect_timeout": 2, "socket_timeout": 2}

if WEB_WORKERS > 1 and not REDIS_URL:
    raise ImproperlyConfigured(
        f"WEB_WORKERS is {WEB_WORKERS}, which needs REDIS_URL: without a Redis, web processes share neither "
        "sessions nor rate limits, and cannot tell each other that there is news."
    )

if REDIS_URL:
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": REDIS_URL,
            "KEY_PREFIX": "erlmcp",
            "OPTIONS": REDIS_TIMEOUTS,
        }
    }
    # a pub/sub listener waits for as long as nothing comes, so it has no socket_timeout
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [{"address": REDIS_URL, "socket_connect_timeout": 2}], "prefix": "erlmcp"},
        }
    }
else:
    CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "OPTIONS": {"MAX_ENTRIES": 100_000}}
    }
    CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}

# Sessions

SESSION_IDLE_SECONDS = env_seconds("SESSION_IDLE_SECONDS", "900", least=1)
SESSIONS_PER_USER = env_int("SESSIONS_PER_USER", "1000", least=1)

# Celery

CELERY_FOLDER = VAR_DIR / "celery"
CELERY_BROKER_URL = (
    env_url("CELERY_BROKER_URL", ("redis://", "rediss://", "amqp://", "amqps://")) or REDIS_URL or file_broker.URL
)
if CELERY_BROKER_URL == file_broker.URL:
    CELERY_BROKER_TRANSPORT = file_broker.TRANSPORT
    CELERY_BROKER_TRANSPORT_OPTIONS = file_broker.broker_options(CELERY_FOLDER)
else:
    CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_connect_timeout": 5, "socket_timeout": 30, "retry_on_timeout": True}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# the worker sends metrics, if anybody takes them, and counts before
CELERY_IMPORTS = ("erlmcp_site.census",)
CELERY_BEAT_SCHEDULER = "erlmcp_site.serving.beat:Scheduler"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_REDIRECT_STDOUTS = False
CELERY_TIMEZONE = "UTC"
# what nobody took in time is not worth doing late: the next one does it
CELERY_BEAT_SCHEDULE = {
    "move the outbox": {"task": "audit_app.tasks.move_outbox", "schedule": 1.0, "options": {"expires": 5}},
    "sign the trail": {"task": "audit_app.tasks.sign_trail", "schedule": 60.0, "options": {"expires": 60}},
    # once a day there is something to do, at whatever hour it first runs
    "archive the trail": {"task": "audit_app.tasks.archive_trail", "schedule": 3600.0, "options": {"expires": 3600}},
    "suspend idle sessions": {
        "task": "sessions_app.tasks.expire_idle_sessions",
        "schedule": min(30.0, SESSION_IDLE_SECONDS / 4),
        "options": {"expires": 30},
    },
    "clean sessions": {"task": "sessions_app.tasks.clean_sessions", "schedule": 5.0, "options": {"expires": 30}},
    "drop spent keys": {"task": "sessions_app.tasks.drop_spent_keys", "schedule": 600.0, "options": {"expires": 600}},
    "drop expired rules": {
        "task": "sessions_app.tasks.drop_expired_rules",
        "schedule": 60.0,
        "options": {"expires": 60},
    },
    "drop idempotency keys": {
        "task": "audit_app.tasks.drop_old_keys",
        "schedule": 300.0,
        "options": {"expires": 300},
    },
    "trim the log": {"task": "resources_app.tasks.trim_log", "schedule": 60.0, "options": {"expires": 60}},
    "go on with re-encryption": {
        "task": "sessions_app.tasks.reencrypt_content",
        "schedule": 5.0,
        "options": {"expires": 5},
    },
}

# Secrets and tokens

SECRET_KEY = env_string("SECRET_KEY")
if not SECRET_KEY:
    if not ON_SQLITE:
        raise ImproperlyConfigured(
            "SECRET_KEY must be set when DATABASE_URL is: nodes that share a database share it, and it seals the "
            "signing keys."
        )
    SECRET_KEY = secret_in(VAR_DIR)

if PRODUCTION and (
    found := objections(
        secret=SECRET_KEY, debug=DEBUG, hosts=ALLOWED_HOSTS, origins=ALLOWED_ORIGINS, proxies=TRUSTED_PROXIES
    )
):
    raise ImproperlyConfigured("PRODUCTION is 1, but " + " ".join(found))

# whether whoever may enter the admin has to have a second factor; who has one needs its codes either way
ADMIN_SECOND_FACTOR = env_choice("ADMIN_SECOND_FACTOR", "optional", ("optional", "required"))
TOKEN_ISSUER = env_string("TOKEN_ISSUER", "erlmcp")
TOKEN_AUDIENCE = env_string("TOKEN_AUDIENCE", "erlmcp")
TRUSTED_ISSUERS = env_issuers("TRUSTED_ISSUERS")
if TOKEN_ISSUER in TRUSTED_ISSUERS:
    raise ImproperlyConfigured(f"TRUSTED_ISSUERS names {TOKEN_ISSUER}, which is TOKEN_ISSUER: that is us.")
# what this service is called as a protected resource of MCP: unset, as the client has reached it
MCP_RESOURCE_URL = env_resource("MCP_RESOURCE_URL")
ACCESS_TOKEN_SECONDS = env_seconds("ACCESS_TOKEN_SECONDS", "300", least=1)
REFRESH_TOKEN_SECONDS = env_seconds("REFRESH_TOKEN_SECONDS", "86400", least=1)
REFRESH_GRACE_SECONDS = env_seconds("REFRESH_GRACE_SECONDS", "10")
API_KEYS_PER_USER = env_int("API_KEYS_PER_USER", "100", least=1)

# Resources, the log and its followers

ERLMCP_SOURCE = env_string("ERLMCP_SOURCE", "erlmcp")
RESOURCE_MAX_BYTES = env_int("RESOURCE_MAX_BYTES", "1048576", least=1024, most=64 * 1024 * 1024)
JSON_MAX_DEPTH = env_int("JSON_MAX_DEPTH", "64", least=1, most=512)
LOG_RETENTION_EVENTS = env_int("LOG_RETENTION_EVENTS", "1000000")
LOG_RETENTION_SECONDS = env_seconds("LOG_RETENTION_SECONDS", "604800")
LOG_RETENTION_PREFIXES = env_retention("LOG_RETENTION_PREFIXES")
LOG_POLL_SECONDS = env_seconds("LOG_POLL_SECONDS", "0.1" if ON_SQLITE else "1.0", least=0.01, most=60)
WS_MAX_MESSAGE = env_int("WS_MAX_MESSAGE", "65536", least=1024, most=16 * 1024 * 1024)
WS_MAX_SUBSCRIPTIONS = env_int("WS_MAX_SUBSCRIPTIONS", "1000", least=1)
SUBSCRIPTIONS_PER_USER = env_int("SUBSCRIPTIONS_PER_USER", "1000", least=1)
# of one process
SOCKETS_PER_USER = env_int("SOCKETS_PER_USER", "20000", least=1)
# of one process, too; each follows so many URIs at most
MCP_LISTENS_PER_USER = env_int("MCP_LISTENS_PER_USER", "1000", least=1)
MCP_LISTEN_MAX_URIS = env_int("MCP_LISTEN_MAX_URIS", "1000", least=1)
WS_MESSAGES_PER_SECOND = env_int("WS_MESSAGES_PER_SECOND", "20000", least=1)

# Encryption: what is encrypted, and by which provider

ENCRYPT = env_encryption("ENCRYPT")
# how long a data key is held after it was unwrapped
ENCRYPTION_KEY_CACHE_SECONDS = env_seconds("ENCRYPTION_KEY_CACHE_SECONDS", "300", least=1, most=86400)
ENCRYPTION_KEYRING = Path(env_string("ENCRYPTION_KEYRING", str(VAR_DIR / "keyring.json")))
VAULT_ADDR = env_url("VAULT_ADDR", ("http://", "https://"))
VAULT_TOKEN = env_string("VAULT_TOKEN")
VAULT_NAMESPACE = env_string("VAULT_NAMESPACE")
VAULT_TRANSIT_MOUNT = env_string("VAULT_TRANSIT_MOUNT", "transit")
PKCS11_MODULE = env_string("PKCS11_MODULE")
PKCS11_TOKEN_LABEL = env_string("PKCS11_TOKEN_LABEL")
PKCS11_PIN = env_string("PKCS11_PIN")

# Limits

REQUEST_TIMEOUT_SECONDS = env_seconds("REQUEST_TIMEOUT_SECONDS", "30", least=0.1, most=600)
RATE_LIMIT_CALLER = env_rate("RATE_LIMIT_CALLER", "1000/s")
RATE_LIMIT_ADDRESS = env_rate("RATE_LIMIT_ADDRESS", "50/s")
RATE_LIMIT_LOGIN = env_rate("RATE_LIMIT_LOGIN", "10/m")
# of one caller, beside RATE_LIMIT_CALLER; a class without a limit of its own is not here
RATE_LIMIT_CLASSES = {
    name: rate
    for name in ("reads", "changes", "streams")
    if (rate := env_optional_rate(f"RATE_LIMIT_{name.upper()}")) is not None
}
RATE_LIMIT_ENTRY_SECONDS = env_seconds("RATE_LIMIT_ENTRY_SECONDS", "60", least=1, most=3600)
LOGIN_LOCKOUT = env_rate("LOGIN_LOCKOUT", "20/15m")

# Audit and telemetry

AUDIT_READS = env_choice("AUDIT_READS", "durable", ("durable", "off"))
AUDIT_SIGNING_KEY_FILE = Path(env_string("AUDIT_SIGNING_KEY_FILE", str(VAR_DIR / "audit_signing_key")))
AUDIT_CHECKPOINT_FILE = Path(env_string("AUDIT_CHECKPOINT_FILE", str(VAR_DIR / "checkpoints.jsonl")))
# 0: for ever
AUDIT_RETENTION_DAYS = env_int("AUDIT_RETENTION_DAYS", "0", most=100 * 366)
AUDIT_ARCHIVE_DIR = Path(env_string("AUDIT_ARCHIVE_DIR", str(VAR_DIR / "archive")))
AUDIT_SINKS = env_sinks("AUDIT_SINKS")
CELERY_BEAT_SCHEDULE |= {
    f"deliver to sink {name}": {
        "task": "audit_app.tasks.deliver_to_sink",
        "args": [name],
        "schedule": 1.0,
        "options": {"expires": 5},
    }
    for name in AUDIT_SINKS
}
AUDIT_POLICY = env_policy("AUDIT_POLICY")
AUDIT_REDACT = env_redaction("AUDIT_REDACT")
# so many entries, or the oldest so many seconds old (0: any age), may wait to be moved; beyond, no work is taken
AUDIT_MAX_PENDING = env_int("AUDIT_MAX_PENDING", "1000000", least=1000)
AUDIT_MAX_LAG_SECONDS = env_seconds("AUDIT_MAX_LAG_SECONDS", "0")
# django-auditlog only compares (audit_app/differences.py); whose request it was, our own entries know
AUDITLOG_DISABLE_REMOTE_ADDR = True
# what receivers of metrics call this node: two on one machine need two names
NODE_NAME = env_string("NODE_NAME", socket.gethostname())
EXPORT_SECONDS = env_seconds("EXPORT_SECONDS", "10", least=1, most=3600)
GRAPHITE = env_graphite("GRAPHITE_URL", NODE_NAME)
OTEL_EXPORTER_OTLP_ENDPOINT = env_url("OTEL_EXPORTER_OTLP_ENDPOINT", ("http://", "https://"))

# Traces and metrics to a collector, under OpenTelemetry's own names where it has one

OTEL_EXPORTER_OTLP_PROTOCOL = env_optional_choice("OTEL_EXPORTER_OTLP_PROTOCOL", PROTOCOLS)
OTEL_EXPORTER_OTLP_HEADERS = env_pairs("OTEL_EXPORTER_OTLP_HEADERS")
# in milliseconds
OTEL_EXPORTER_OTLP_TIMEOUT = env_int("OTEL_EXPORTER_OTLP_TIMEOUT", "10000", least=1, most=600_000)
OTEL_EXPORTER_OTLP_CERTIFICATE = env_certificate("OTEL_EXPORTER_OTLP_CERTIFICATE")
# what is set of one signal goes before what is set of both
OTLP_OWN = {signal: env_otlp(f"OTEL_EXPORTER_OTLP_{signal}") for signal in ("TRACES", "METRICS")}
OTEL_SERVICE_NAME = env_string("OTEL_SERVICE_NAME", "erlmcp")
OTEL_RESOURCE_ATTRIBUTES = env_pairs("OTEL_RESOURCE_ATTRIBUTES")
# requests, batches and tasks that may wait to be sent, and for how many milliseconds they do
OTEL_BSP_MAX_QUEUE_SIZE = env_int("OTEL_BSP_MAX_QUEUE_SIZE", "2048", least=1, most=1_000_000)
OTEL_BSP_SCHEDULE_DELAY = env_int("OTEL_BSP_SCHEDULE_DELAY", "1000", least=10, most=600_000)

# of those that begin here, the share that is kept; a caller's own decision goes before it
OTEL_TRACES_SAMPLER_ARG = env_ratio("OTEL_TRACES_SAMPLER_ARG", "0.1")
# whatever is kept of the others: what failed, and what took so long
TRACES_SLOW_SECONDS = env_seconds("TRACES_SLOW_SECONDS", "1", least=0.001, most=600)
OTEL_TRACES_EXPORTER = env_choice("OTEL_TRACES_EXPORTER", "otlp", ("otlp", "none"))
OTEL_METRICS_EXPORTER = env_choice("OTEL_METRICS_EXPORTER", "otlp", ("otlp", "none"))

# Demo

DEMO = env_bool("DEMO", "0" if PRODUCTION else "1")

# Django

ROOT_URLCONF = "erlmcp_site.urls"
ASGI_APPLICATION = "erlmcp_site.asgi.application"
APPEND_SLASH = True
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-us"

STATIC_URL = "/static/"
WHITENOISE_USE_FINDERS = True
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
# the prefix lets browsers take a cookie only from this very host, over TLS (RFC 6265bis §4.1.3.2)
SESSION_COOKIE_NAME = "__Host-erlmcp_admin" if PRODUCTION else "erlmcp_admin"
CSRF_COOKIE_NAME = "__Host-erlmcp_csrf" if PRODUCTION else "erlmcp_csrf"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PRODUCTION
SECURE_SSL_REDIRECT = PRODUCTION
SECURE_HSTS_SECONDS = env_int("HSTS_SECONDS", str(365 * 86400) if PRODUCTION else "0", most=10 * 366 * 86400)
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
# W021 wants a domain to be built into browsers, which only its owner can decide, and hardly take back
SILENCED_SYSTEM_CHECKS = ["security.W021"]

# Logging, in UTC, on standard error: docs/logging.md

LOG_FORMAT = env_choice("LOG_FORMAT", "auto", ("auto", "json", "pretty"))
ON_TERMINAL = sys.stderr is not None and sys.stderr.isatty()
if LOG_FORMAT == "auto":
    LOG_FORMAT = "pretty" if ON_TERMINAL else "json"
LOG_REPEATS = env_rate("LOG_REPEATS", "20/m")
LOG_REQUESTS = env_choice("LOG_REQUESTS", "all", ("all", "failed", "slow", "none"))
LOG_REFUSALS = env_rate("LOG_REFUSALS", "1000/m")
SLOW_REQUEST_SECONDS = env_int("SLOW_REQUEST_MS", "1000") / 1000
SLOW_QUERY_SECONDS = env_int("SLOW_QUERY_MS", "500") / 1000
PROFILING = env_bool("PROFILING", "0")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"()": "erlmcp_site.logs.lines.LineFormatter", "form": LOG_FORMAT, "colors": ON_TERMINAL},
    },
    "handlers": {"stderr": {"()": "erlmcp_site.logs.handler.LineHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": env_choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR"))},
    "loggers": {
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        "django.server": {"handlers": [], "level": "INFO", "propagate": True},
        "uvicorn": {"handlers": [], "level": "WARNING", "propagate": True},
        "celery": {"level": "WARNING"},
        "celery.beat": {"level": "ERROR"},
        "kombu": {"level": "WARNING"},
        # it warns with whole URLs, which may hold the secret of a sink
        "urllib3": {"level": "ERROR"},
        # they write at every retry; that a part is away is said once, by its breaker
        "channels_redis": {"level": "CRITICAL"},
        "psycopg.pool": {"level": "ERROR"},
    },
}
