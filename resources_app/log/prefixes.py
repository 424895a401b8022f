"""Retention prefixes: parts of the log that are kept longer or shorter than the rest, and begin where they begin.

A URI belongs to the longest prefix that it lies below; what lies below none belongs to the rest.
"""

from collections.abc import Collection, Iterable, Mapping

from resources_app.patterns import Pattern, Reach

REST = ""
"""Stands among prefixes for everything that belongs to no other."""


def prefix_of(uri: str, prefixes: Iterable[str]) -> str:
    """The prefix that a URI belongs to."""
    return max((prefix for prefix in prefixes if uri.startswith(prefix) and uri != prefix), key=len, default=REST)


def reached(pattern: Pattern | None, prefixes: Collection[str]) -> set[str]:
    """The prefixes that the URIs of a pattern may belong to; None is the pattern of everything."""
    if pattern is None:
        return {REST, *prefixes}
    if pattern.is_exact:
        return {prefix_of(pattern.prefix, prefixes)}
    own = {_around(pattern.prefix, prefixes)}
    if pattern.reach is Reach.LEVEL:
        return own
    return own | {prefix for prefix in prefixes if prefix.startswith(pattern.prefix)}


def divided(earliest: Mapping[str, int], wanted: Collection[str]) -> dict[str, int]:
    """Where each part of the log begins once every wanted prefix is a part of its own.

    `earliest` names the parts as they are, the rest included. A new part begins where the one did that it is taken
    from. A prefix that is not wanted any more stays until it begins where the part does that it goes back to, so what
    was trimmed is never forgotten.
    """
    parts = dict(earliest)
    for prefix in wanted:
        parts.setdefault(prefix, earliest[_around(prefix, earliest)])
    for prefix in sorted(earliest, key=len, reverse=True):
        if prefix != REST and prefix not in wanted:
            others = parts.keys() - {prefix}
            if parts[prefix] == parts[_around(prefix, others)]:
                del parts[prefix]
    return parts


def _around(folder: str, prefixes: Iterable[str]) -> str:
    """The prefix that what lies directly in a folder belongs to."""
    return max((prefix for prefix in prefixes if folder.startswith(prefix)), key=len, default=REST)
