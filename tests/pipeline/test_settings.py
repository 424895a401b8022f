"""A wrong setting stops the start and names its variable; without any, everything has a value."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from erlmcp_site.databases import AUDIT, AuditRouter, databases
from erlmcp_site.environment import (
    Rate,
    Retention,
    env_bool,
    env_database,
    env_int,
    env_networks,
    env_optional_port,
    env_origins,
    env_pairs,
    env_port,
    env_rate,
    env_ratio,
    env_retention,
    env_seconds,
    env_url,
    secret_in,
)

ROOT = Path(__file__).resolve().parents[2]
POSTGRESQL = "postgres://erlmcp:secret@localhost:5432/erlmcp"


def start(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """What `manage.py migrate --plan` comes to with nothing in the environment but this."""
    return command(folder, ["migrate", "--plan"], **environment)


def command(folder: Path, words: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    """What a management command comes to with nothing in the environment but this."""
    return subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "VAR_DIR": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_it_starts_with_no_environment_at_all(tmp_path):
    started = start(tmp_path)
    assert started.returncode == 0, started.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://localhost/erlmcp"),
        ("AUDIT_DATABASE_URL", "audit.db"),
        ("REDIS_URL", "localhost:6379"),
        ("CELERY_BROKER_URL", "kafka://localhost"),
        ("DEBUG", "maybe"),
        ("LOG_FORMAT", "xml"),
        ("LOG_LEVEL", "LOUD"),
        ("LOG_REQUESTS", "some"),
        ("LOG_REPEATS", "seldom"),
        ("LOG_REFUSALS", "0/m"),
        ("SLOW_REQUEST_MS", "1s"),
        ("SLOW_QUERY_MS", "-1"),
        ("PROFILING", "often"),
        ("PRODUCTION", "nearly"),
        ("HSTS_SECONDS", "a year"),
        ("ALLOWED_ORIGINS", "app.example.com"),
        ("TRUSTED_PROXIES", "10.0.0.300"),
        ("PORT", "80000"),
        ("GRPC_PORT", "grpc"),
        ("WEB_WORKERS", "0"),
        ("RATE_LIMIT_CALLER", "fast"),
        ("RATE_LIMIT_ADDRESS", "50"),
        ("RATE_LIMIT_LOGIN", "0/m"),
        ("RATE_LIMIT_READS", "1"),
        ("RATE_LIMIT_CHANGES", "many"),
        ("RATE_LIMIT_STREAMS", "5/y"),
        ("RATE_LIMIT_ENTRY_SECONDS", "0"),
        ("LOGIN_LOCKOUT", "5"),
        ("ADMIN_SECOND_FACTOR", "maybe"),
        ("REFRESH_GRACE_SECONDS", "-1"),
        ("SESSION_IDLE_SECONDS", "nan"),
        ("SESSIONS_PER_USER", "0"),
        ("API_KEYS_PER_USER", "many"),
        ("SOCKETS_PER_USER", "-1"),
        ("MCP_LISTENS_PER_USER", "0"),
        ("MCP_LISTEN_MAX_URIS", "none"),
        ("SUBSCRIPTIONS_PER_USER", "1.5"),
        ("LOG_RETENTION_EVENTS", "1e6"),
        ("AUDIT_RETENTION_DAYS", "90d"),
        ("LOG_RETENTION_SECONDS", "a week"),
        ("LOG_RETENTION_PREFIXES", "resource://host/ticks/=many/1h"),
        ("WS_MAX_MESSAGE", "64K"),
        ("TRUSTED_ISSUERS", "https://issuer.example"),
        ("AUDIT_READS", "sometimes"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4317"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_TRACES_SAMPLER_ARG", "1.5"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere/ca.pem"),
        ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "pyproject.toml"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "localhost:4317"),
        ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "authorization"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "soon"),
        ("GRAPHITE_URL", "udp://localhost:2003"),
        ("GRAPHITE_URL", "graphite://"),
        ("GRAPHITE_URL", "graphite://localhost?prefix=a b"),
        ("EXPORT_SECONDS", "0"),
    ],
)
def test_a_wrong_value_stops_the_start_and_names_its_variable(tmp_path, name, value):
    started = start(tmp_path, **{name: value})
    assert started.returncode == 1
    assert started.stderr.startswith(f"erlmcp cannot start: {name} ")
    assert "Traceback" not in started.stderr


def test_several_web_processes_need_a_redis(tmp_path):
    started = start(tmp_path, WEB_WORKERS="2")
    assert started.returncode == 1
    assert "WEB_WORKERS" in started.stderr
    assert "REDIS_URL" in started.stderr


def test_nodes_that_share_a_database_must_be_given_the_secret(tmp_path):
    started = start(tmp_path, DATABASE_URL=POSTGRESQL)
    assert started.returncode == 1
    assert "SECRET_KEY" in started.stderr


def test_a_refusal_does_not_show_the_password_in_a_url(monkeypatch):
    monkeypatch.setenv("REDIS_URL", "http://me:hunter2@localhost")
    with pytest.raises(ImproperlyConfigured) as refusal:
        env_url("REDIS_URL", ("redis://",))
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "rate"),
    [("1000/s", Rate(1000, 1)), ("10/m", Rate(10, 60)), ("5/h", Rate(5, 3600)), ("30/10s", Rate(30, 10))],
)
def test_a_rate_is_a_number_a_period(monkeypatch, text, rate):
    monkeypatch.setenv("RATE", text)
    assert env_rate("RATE", "1/s") == rate


@pytest.mark.parametrize(("text", "ratio"), [("0", 0.0), ("1", 1.0), ("0.25", 0.25), ("1e-3", 0.001)])
def test_a_ratio_is_a_number_from_0_to_1(monkeypatch, text, ratio):
    monkeypatch.setenv("RATIO", text)
    assert env_ratio("RATIO", "0") == ratio


@pytest.mark.parametrize("text", ["1.5", "-0.1", "nan", "half"])
def test_a_ratio_that_is_none_is_refused(monkeypatch, text):
    monkeypatch.setenv("RATIO", text)
    with pytest.raises(ImproperlyConfigured, match=r"^RATIO "):
        env_ratio("RATIO", "0")


def test_pairs_are_percent_encoded(monkeypatch):
    monkeypatch.setenv("PAIRS", "authorization=Bearer%20a%2Cb= , x-tenant=7,empty=")
    assert env_pairs("PAIRS") == {"authorization": "Bearer a,b=", "x-tenant": "7", "empty": ""}
    assert env_pairs("PAIRS_OF_THIS_TEST") == {}


@pytest.mark.parametrize("text", ["hunter2", "=hunter2", "a b=hunter2", "a=hunter2%0d%0ab", "ä=hunter2", "a=hunter2ä"])
def test_pairs_that_are_none_are_refused_and_not_shown(monkeypatch, text):
    monkeypatch.setenv("PAIRS", text)
    with pytest.raises(ImproperlyConfigured, match=r"^PAIRS ") as refusal:
        env_pairs("PAIRS")
    assert "hunter2" not in str(refusal.value)


def test_a_retention_rule_is_a_prefix_with_so_many_events_and_an_age(monkeypatch):
    monkeypatch.setenv("RULES", "resource://Demo.local/ticks/=1000/1h, test://h/=0/365d ,test://h/a=b/=5/0")
    assert env_retention("RULES") == {
        "resource://demo.local/ticks/": Retention(1000, 3600),
        "test://h/": Retention(None, 365 * 86400),
        "test://h/a=b/": Retention(5, None),
    }
    assert env_retention("RULES_OF_THIS_TEST") == {}


@pytest.mark.parametrize(
    "text",
    [
        *("resource://host/ticks/", "resource://host/ticks=1/1h", "host/=1/1h", "=1/1h", "resource://host/*=1/1h"),
        *("resource://host/=1", "resource://host/=-1/1h", "resource://host/=1/1w", "resource://host/=1/36501000d"),
        *("resource://host/../=1/1h", "resource://host/=1/1h,resource://HOST/=2/1h", "resource://host/=1/1h;"),
    ],
)
def test_a_retention_rule_that_makes_no_sense_is_refused(monkeypatch, text):
    monkeypatch.setenv("RULES", text)
    with pytest.raises(ImproperlyConfigured, match=r"^RULES "):
        env_retention("RULES")


@pytest.mark.parametrize("text", ["true", "1", "Yes", "on"])
def test_a_flag_has_several_spellings(monkeypatch, text):
    monkeypatch.setenv("FLAG", text)
    assert env_bool("FLAG", "0") is True


def test_a_variable_set_to_nothing_means_its_default(monkeypatch):
    monkeypatch.setenv("NUMBER", "")
    assert env_int("NUMBER", "7") == 7
    assert env_seconds("NUMBER", "0.5") == 0.5
    assert env_port("NUMBER", "8000") == 8000


def test_a_port_that_may_be_off_is_off_when_set_to_nothing(monkeypatch):
    assert env_optional_port("GRPC_PORT_OF_THIS_TEST", "50051") == 50051
    monkeypatch.setenv("GRPC_PORT_OF_THIS_TEST", "")
    assert env_optional_port("GRPC_PORT_OF_THIS_TEST", "50051") is None


def test_origins_and_networks_are_lists(monkeypatch):
    monkeypatch.setenv("ORIGINS", "https://a.example.com, http://localhost:3000")
    monkeypatch.setenv("NETWORKS", "10.0.0.0/8,::1")
    assert env_origins("ORIGINS") == ["https://a.example.com", "http://localhost:3000"]
    assert [str(network) for network in env_networks("NETWORKS")] == ["10.0.0.0/8", "::1/128"]


def test_the_secret_is_made_once_and_only_its_owner_reads_it(tmp_path):
    secret = secret_in(tmp_path / "var")
    assert secret_in(tmp_path / "var") == secret
    assert len(secret) >= 50
    assert stat.S_IMODE((tmp_path / "var" / "secret_key").stat().st_mode) == 0o600


def test_sqlite_commits_are_durable_and_begin_immediately(tmp_path):
    for config in databases(None, None, tmp_path).values():
        assert config["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
        assert "synchronous=FULL" in config["OPTIONS"]["init_command"]
        assert "journal_mode=WAL" in config["OPTIONS"]["init_command"]


def test_the_trail_has_a_schema_of_its_own_in_the_only_postgresql(monkeypatch, tmp_path):
    monkeypatch.setenv("DATABASE", POSTGRESQL)
    found = databases(env_database("DATABASE"), None, tmp_path)
    assert found[AUDIT]["NAME"] == found["default"]["NAME"]
    assert "search_path=audit" in found[AUDIT]["OPTIONS"]["options"]
    assert "options" not in found["default"]["OPTIONS"]


def test_the_trail_goes_to_the_audit_database_and_everything_else_does_not():
    router = AuditRouter()
    assert router.allow_migrate(AUDIT, "audit_app", "auditentry")
    assert not router.allow_migrate("default", "audit_app", "auditentry")
    assert router.allow_migrate("default", "audit_app", "outboxentry")
    assert not router.allow_migrate(AUDIT, "audit_app", "outboxentry")
    assert router.allow_migrate("default", "resources_app", "resource")
    assert not router.allow_migrate(AUDIT, "resources_app", "resource")
