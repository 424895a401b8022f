"""AUDIT_SINKS is checked at the start, and what is wrong is said without showing a URL."""

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from audit_app.sinks.configuration import KINDS, BadSink, parse_sink, parse_sinks
from audit_app.sinks.kinds import RECEIVERS
from erlmcp_site.environment import env_sinks


def test_every_kind_has_a_receiver() -> None:
    assert set(KINDS) == set(RECEIVERS)


def test_a_url_says_where_and_how() -> None:
    target = parse_sink("https://siem.example.com/in/x/?name=siem&format=ocsf&token=t&batch=50&timeout=3")
    assert (target.name, target.kind, target.format) == ("siem", "https", "ocsf")
    assert (target.host, target.port, target.path) == ("siem.example.com", 443, "/in/x")
    assert target.texts == {"token": "t"}
    assert target.numbers == {"batch": 50, "batch_bytes": 1_048_576, "timeout": 3, "gzip": 1}
    assert target.where == "https://siem.example.com:443"


@pytest.mark.parametrize(
    ("url", "port", "path"),
    [
        ("syslog+tcp://log.example.com?name=s", 601, ""),
        ("syslog+tls://log.example.com?name=s", 6514, ""),
        ("syslog+tls://[::1]:7000?name=s", 7000, ""),
        ("splunk+https://splunk.example.com?name=s&token=t", 8088, "/services/collector/event"),
        ("splunk+https://splunk.example.com:443/hec?name=s&token=t", 443, "/hec"),
        ("otlp+http://collector:4318?name=s", 4318, "/v1/logs"),
        ("otlp+https://collector?name=s", 4318, "/v1/logs"),
        ("http://127.0.0.1:9000?name=s", 9000, "/"),
    ],
)
def test_ports_and_paths_have_the_defaults_of_their_protocols(url: str, port: int, path: str) -> None:
    target = parse_sink(url)
    assert (target.port, target.path) == (port, path)


def test_an_address_of_ipv6_is_shown_as_it_is_written() -> None:
    assert parse_sink("syslog+tls://[2001:db8::1]?name=s").where == "syslog+tls://[2001:db8::1]:6514"


def test_the_path_of_a_file_may_hold_anything() -> None:
    assert parse_sink("file:///var/log/a%2Cb/audit%20log.jsonl?name=f").path == "/var/log/a,b/audit log.jsonl"


def test_secrets_may_lie_in_files(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("canary\n")
    target = parse_sink(f"splunk+https://splunk.example.com?name=s&token_file={tmp_path}/token")
    assert target.texts == {"token": "canary"}
    assert "canary" not in repr(target)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("nonsense", "must begin with one of"),
        ("udp://canary:514?name=s", "must begin with one of"),
        ("https://[canary?name=s", "is not a URL"),
        ("https://host:99999?name=canary", "is not a URL"),
        ("https://host", "needs a name"),
        ("https://host?name=No%20Name", "needs a name"),
        ("https://host?name=s&name=canary", "has a parameter twice"),
        ("https://host?name=s&format=canary", "needs a format of jsonl, ocsf, ecs, cef"),
        ("https://user:canary@host?name=s", "must not have a user, a password"),
        ("https://?name=s&token=canary", "needs a host"),
        ("https://host?name=s&sekret=canary", "takes no parameter sekret"),
        ("https://host?name=s&batch=canary", "needs a number from 1 to 10000 as batch"),
        ("https://host?name=s&timeout=3600", "needs a number from 1 to 30 as timeout"),
        ("https://host?name=s&token=a%0Ab", "characters that cannot be printed"),
        ("https://host?name=s&token=canary&token_file=/x", "has both token and token_file"),
        ("https://host?name=s&token_file=/canary/nowhere", "token_file that cannot be read"),
        ("https://host?name=s&ca=/canary/nowhere", "names a file as ca that is not there"),
        ("syslog+tcp://host?name=s&ca=/canary", "takes no parameter ca"),
        ("syslog+tls://host?name=s&key=/canary", "has a key and no cert"),
        ("splunk+https://host?name=s", "needs a token"),
        ("https://host?name=s&token=%E2%82%ACcanary", "token that no header can hold"),
        ("https://host?name=s&secret=whsec_canary!", "goes on without base64"),
        ("file:///?name=s", "needs the path of a file"),
        ("file:///canary%00?name=s", "needs the path of a file"),
        ("file:canary.jsonl?name=s", "needs an absolute path"),
        ("file://canary/x?name=s", "needs an absolute path"),
    ],
)
def test_what_is_wrong_is_said_and_the_url_is_not_shown(url: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIT_SINKS", f"file:///tmp/audit.jsonl?name=first, {url}")
    with pytest.raises(ImproperlyConfigured) as refused:
        env_sinks("AUDIT_SINKS")
    said = str(refused.value)
    assert said.startswith("AUDIT_SINKS: sink 2 ")
    assert why in said
    assert "canary" not in said


def test_names_are_unique() -> None:
    with pytest.raises(BadSink, match="sink 2 has the name of another one, s"):
        parse_sinks(["file:///a?name=s", "file:///b?name=s"])


def test_no_sinks_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AUDIT_SINKS", raising=False)
    assert env_sinks("AUDIT_SINKS") == {}
