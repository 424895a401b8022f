"""The sample configurations are what their programs parse, and read where the documents have sinks write."""

import re
from typing import Any

import yaml
from django.conf import settings

from audit_app.sinks.configuration import KINDS, parse_sink

DEPLOY = settings.BASE_DIR / "deploy"
PATH = "/var/log/erlmcp/audit.jsonl"


def sample(name: str) -> tuple[str, Any]:
    text = (DEPLOY / name).read_text()
    return text, yaml.safe_load(text)


def test_fluent_bit_and_vector_read_the_file() -> None:
    text, fluent_bit = sample("fluent-bit/fluent-bit.yaml")
    assert [one["path"] for one in fluent_bit["pipeline"]["inputs"]] == [PATH]
    assert PATH in text
    _, vector = sample("vector/vector.yaml")
    assert vector["sources"]["erlmcp"]["include"] == [PATH]
    assert vector["sinks"]["out"]["inputs"] == ["once"]


def test_every_url_that_the_documents_show_is_one() -> None:
    paths = [path for path in DEPLOY.glob("*/*") if path.is_file() and path.suffix != ".pyc"]
    texts = [path.read_text() for path in (*paths, settings.BASE_DIR / "docs" / "audit-sinks.md")]
    urls = [url for text in texts for url in re.findall(r"AUDIT_SINKS='?([a-z+]+:[^'\s]+)", text)]
    assert {url.partition(":")[0] for url in urls} <= set(KINDS)
    assert len(urls) > 6
    for url in urls:
        # the files that it names are on the operator's machine
        parse_sink(re.sub("&(ca|cert|key)=[^&]*", "", re.sub("(token|secret)_file=[^&]*", r"\1=x", url)))
