"""Parts of the page of one entry: its place in the chain, and where to go from here."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from audit_app.chain.canonical import FIELDS, ZEROS, hash_of
from audit_app.models import AuditEntry

AROUND = 2
"""How many entries of the chain are shown on each side."""

GOOD, BAD, UNKNOWN = "fits", "does not fit", "nothing to compare"


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """An entry as a link of the chain, and how it fits.

    `hash`: whether it is the one that the entry's record has; `prev_hash`: whether it is that of the entry before.
    """

    entry: AuditEntry
    hash: str
    prev_hash: str


def links_around(entry: AuditEntry) -> list[Link]:
    """The entries around one, in the order of the chain, with the one itself."""
    first, last = entry.sequence - AROUND, entry.sequence + AROUND
    found = {row.sequence: row for row in AuditEntry.objects.filter(sequence__gte=first - 1, sequence__lte=last)}
    return [_link(row, found.get(number - 1)) for number, row in sorted(found.items()) if number >= first]


def chain_part(entry: AuditEntry) -> SafeString:
    """The chain around an entry, as a table."""
    rows = [
        (
            "font-semibold" if link.entry.pk == entry.pk else "",
            reverse("admin:audit_app_auditentry_change", args=[link.entry.pk]),
            link.entry.sequence,
            f"{link.entry.timestamp:%Y-%m-%d %H:%M:%S}",
            Truncator(link.entry.action).chars(24),
            _digits(link.entry.prev_hash),
            _marked(link.prev_hash),
            _digits(link.entry.hash),
            _marked(link.hash),
        )
        for link in links_around(entry)
    ]
    head = format_html_join("", '<th class="pr-4 text-left">{}</th>', [(name,) for name in _HEAD])
    body = format_html_join("", _ROW, rows)
    return format_html('<table class="text-sm"><thead><tr>{}</tr></thead><tbody>{}</tbody></table>', head, body)


def related_part(entry: AuditEntry) -> SafeString:
    """Links to the entries that have something in common with one."""
    listing = reverse("admin:audit_app_auditentry_changelist")
    links = [(f"{listing}?{urlencode(query)}", name) for name, query in _related(entry).items()]
    return format_html_join(" · ", '<a class="text-primary-600 underline" href="{}">{}</a>', links)


_HEAD = ("sequence", "time (UTC)", "action", "prev_hash", "hash")
_ROW = (
    '<tr class="align-top {}"><td class="pr-4"><a class="text-primary-600 underline" href="{}">{}</a></td>'
    '<td class="pr-4 whitespace-nowrap">{}</td><td class="pr-4">{}</td>'
    '<td class="pr-4">{} {}</td><td class="pr-4">{} {}</td></tr>'
)
_COLOURS = {GOOD: "text-green-700", BAD: "text-red-700 font-semibold", UNKNOWN: ""}


def _digits(hash: str | None) -> SafeString:
    """The first digits of a hash; all of them show where the pointer rests."""
    return format_html('<code title="{}">{}…</code>', hash, (hash or "")[:8])


def _marked(verdict: str) -> SafeString:
    return format_html('<span class="{}">{}</span>', _COLOURS[verdict], verdict)


def _link(entry: AuditEntry, before: AuditEntry | None) -> Link:
    fields = tuple(getattr(entry, name) for name in FIELDS)
    expected = ZEROS if entry.sequence == 1 else before.hash if before else None
    return Link(
        entry=entry,
        hash=_verdict(hash_of(fields, entry.sequence, entry.prev_hash or ""), entry.hash),
        prev_hash=UNKNOWN if expected is None else _verdict(expected, entry.prev_hash),
    )


def _verdict(expected: str, found: str | None) -> str:
    return GOOD if expected == found else BAD


def _related(entry: AuditEntry) -> Mapping[str, Mapping[str, str]]:
    """What the list has to be asked for, by the name of the link. A session belongs to one user."""
    related: dict[str, Mapping[str, str]] = {}
    if entry.request_id:
        related["same request"] = {"request_id": entry.request_id}
    if entry.session_id:
        related["same session"] = {"user": entry.user, "session_id": entry.session_id}
    if entry.user:
        related["same user"] = {"user": entry.user}
    if entry.resource_id:
        related["same resource"] = {"resource": entry.resource_id}
    return related
