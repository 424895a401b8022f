"""What AUDIT_SINKS says: a URL for each sink, parsed and checked when the settings are read.

No error of this module shows a URL: it may hold a secret.
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from audit_app.formats import FORMATS

COMMON = {
    "batch": (500, 1, 10_000),
    "batch_bytes": (1_048_576, 1_024, 64 * 1_048_576),
    "timeout": (10, 1, 30),
}
"""Numbers of every sink: (default, least, most)."""

SECRETS = ("token", "secret")
"""Texts that are shown to nobody; each may be kept in a file instead, named by `<text>_file`."""

LEAST_SECRET = 4
"""A shorter text is no secret, and may be part of any word."""

NAME = re.compile("[a-z0-9][a-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a scheme of URLs takes beside name and format."""

    port: int | None = None
    path: str = ""
    numbers: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
    texts: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


TLS = ("ca", "cert", "key")
GZIP = {"gzip": (1, 0, 1)}
CONFIRM = {"confirm": (1, 0, 1)}
ROTATION = {
    "max_bytes": (104_857_600, 4_096, 2**40),
    "max_seconds": (86_400, 0, 10 * 366 * 86_400),
    "keep": (10, 0, 10_000),
}

KINDS: Mapping[str, Kind] = {
    "file": Kind(numbers=ROTATION),
    "syslog+tcp": Kind(port=601, numbers=CONFIRM),
    "syslog+tls": Kind(port=6514, numbers=CONFIRM, texts=TLS),
    "http": Kind(port=80, path="/", numbers=GZIP, texts=SECRETS),
    "https": Kind(port=443, path="/", numbers=GZIP, texts=(*SECRETS, *TLS)),
    "splunk+http": Kind(
        port=8088, path="/services/collector/event", numbers=GZIP, texts=("token", "index"), needs=("token",)
    ),
    "splunk+https": Kind(
        port=8088, path="/services/collector/event", numbers=GZIP, texts=("token", "index", *TLS), needs=("token",)
    ),
    "otlp+http": Kind(port=4318, path="/v1/logs", numbers=GZIP, texts=("token",)),
    "otlp+https": Kind(port=4318, path="/v1/logs", numbers=GZIP, texts=("token", *TLS)),
}


class BadSink(ValueError):
    """A URL that names no sink; the message says what is wrong, and shows nothing of the URL but names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a sink delivers, and how. `texts` holds secrets, so it has no place in a log."""

    name: str
    kind: str
    format: str
    host: str
    port: int
    path: str
    numbers: Mapping[str, int]
    texts: Mapping[str, str] = field(repr=False)

    @property
    def hidden(self) -> tuple[str, ...]:
        """What nobody is shown, though a receiver may say it back: secrets, and a path that may be one."""
        path = () if self.path == KINDS[self.kind].path or self.kind == "file" else (self.path,)
        return (*path, *(self.texts[key] for key in SECRETS if len(self.texts.get(key, "")) >= LEAST_SECRET))

    @property
    def where(self) -> str:
        """For people: the address without secrets."""
        if self.kind == "file":
            return f"{self.kind}://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.kind}://{host}:{self.port}"


def parse_sinks(urls: list[str]) -> dict[str, Target]:
    """The sinks by name, in their order. Raises BadSink."""
    sinks: dict[str, Target] = {}
    for number, url in enumerate(urls, 1):
        try:
            target = parse_sink(url)
        except BadSink as bad:
            raise BadSink(f"sink {number} {bad}") from None
        if target.name in sinks:
            raise BadSink(f"sink {number} has the name of another one, {target.name}")
        sinks[target.name] = target
    return sinks


def parse_sink(url: str) -> Target:
    """The sink that a URL names. Raises BadSink."""
    try:
        parts = urlsplit(url)
        port = parts.port
        pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise BadSink("is not a URL") from None
    kind = KINDS.get(parts.scheme)
    if kind is None:
        raise BadSink(f"must begin with one of {', '.join(KINDS)}")
    given = dict(pairs)
    if len(given) != len(pairs):
        raise BadSink("has a parameter twice")
    name = given.pop("name", "")
    if not NAME.fullmatch(name):
        raise BadSink("needs a name of up to 64 small letters, digits, - and _, such as name=siem")
    form = given.pop("format", "jsonl")
    if form not in FORMATS:
        raise BadSink(f"({name}) needs a format of {', '.join(FORMATS)}")
    target = Target(
        name=name,
        kind=parts.scheme,
        format=form,
        host=parts.hostname or "",
        port=port or kind.port or 0,
        path=unquote(parts.path) if parts.scheme == "file" else parts.path.rstrip("/") or kind.path,
        numbers={key: _number(name, given, key, *rule) for key, rule in {**COMMON, **kind.numbers}.items()},
        texts={key: text for key in kind.texts if (text := _text(name, given, key))},
    )
    if given:
        raise BadSink(f"({name}) takes no parameter {', '.join(sorted(given))}")
    _check(target, kind, parts)
    return target


def _check(target: Target, kind: Kind, parts: SplitResult) -> None:
    if parts.username or parts.password or parts.fragment:
        raise BadSink(f"({target.name}) must not have a user, a password or a fragment")
    if target.kind == "file" and (target.host or not Path(target.path).is_absolute()):
        raise BadSink(f"({target.name}) needs an absolute path, such as file:///var/log/erlmcp/audit.jsonl")
    if target.kind == "file" and (not Path(target.path).name or "\0" in target.path):
        raise BadSink(f"({target.name}) needs the path of a file")
    if target.kind != "file" and not target.host:
        raise BadSink(f"({target.name}) needs a host")
    for needed in kind.needs:
        if needed not in target.texts:
            raise BadSink(f"({target.name}) needs a {needed} or {needed}_file")
    if "key" in target.texts and "cert" not in target.texts:
        raise BadSink(f"({target.name}) has a key and no cert")
    for file in TLS:
        if file in target.texts and not Path(target.texts[file]).is_file():
            raise BadSink(f"({target.name}) names a file as {file} that is not there")


def _number(name: str, given: dict[str, str], key: str, default: int, least: int, most: int) -> int:
    text = given.pop(key, str(default))
    if not re.fullmatch("[0-9]{1,15}", text) or not least <= int(text) <= most:
        raise BadSink(f"({name}) needs a number from {least} to {most} as {key}")
    return int(text)


def _is_key(secret: str) -> bool:
    try:
        return signing_key(secret) is not None
    except ValueError:
        return False


def signing_key(secret: str) -> bytes:
    """Standard Webhooks writes keys in base64 behind a prefix; anything else is taken as it is. Raises ValueError."""
    if not secret.startswith("whsec_"):
        return secret.encode()
    return base64.b64decode(secret.removeprefix("whsec_"), validate=True)


def _text(name: str, given: dict[str, str], key: str) -> str:
    text = given.pop(key, "")
    path = given.pop(f"{key}_file", "") if key in SECRETS else ""
    if path and text:
        raise BadSink(f"({name}) has both {key} and {key}_file")
    if path:
        try:
            text = Path(path).read_text().strip()
        except (OSError, ValueError):
            raise BadSink(f"({name}) names a {key}_file that cannot be read") from None
    if not text.isprintable():
        raise BadSink(f"({name}) has a {key} with characters that cannot be printed")
    if key == "token" and not text.isascii():
        raise BadSink(f"({name}) has a token that no header can hold")
    if key == "secret" and not _is_key(text):
        raise BadSink(f"({name}) has a secret that begins as Standard Webhooks writes it, and goes on without base64")
    return text
