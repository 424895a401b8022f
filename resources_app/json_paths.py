"""Finding places in JSON values by JSONPath (RFC 9535), with bounded work.

The functions `match` and `search` are left out: a regular expression can be made to take for ever.
"""

import time
from collections.abc import Iterable
from contextvars import ContextVar
from functools import lru_cache
from itertools import islice
from typing import Any

from jsonpath_rfc9535 import JSONPathEnvironment, JSONPathError, JSONPathNode, JSONPathQuery
from jsonpath_rfc9535.parse import Parser
from jsonpath_rfc9535.segments import JSONPathChildSegment, JSONPathRecursiveDescentSegment, JSONPathSegment
from jsonpath_rfc9535.selectors import FilterSelector, JSONPathSelector
from jsonpath_rfc9535.tokens import TokenStream

from audit_app.errors import InvalidParams

MAX_PATH = 400
MAX_FOUND = 10
MAX_PLACE = 1024
MAX_STEPS = 500_000
MAX_SECONDS = 1.0
STEPS_BETWEEN_LOOKS = 32
LETTERS_OF_A_STEP = 16
"""So much of a filter's text is about one step for each element that it looks at."""


class _Work:
    """What one evaluation has cost by now, in steps; one is about a microsecond."""

    def __init__(self) -> None:
        self._steps = 0
        self._look = 0
        # of this thread's own time: that others are busy makes no path dearer
        self._until = time.thread_time() + MAX_SECONDS

    def spend(self, steps: int = 1) -> None:
        """Raises InvalidParams when it is too much."""
        self._steps += steps
        if self._steps < self._look:
            return
        self._look = self._steps + STEPS_BETWEEN_LOOKS
        if self._steps > MAX_STEPS or time.thread_time() > self._until:
            raise InvalidParams("The path takes too much work on one of the resources; make it say more exactly where.")


_work: ContextVar[_Work] = ContextVar("_work")


class JsonPath:
    """A JSONPath. Raises InvalidParams when it is none, is longer than MAX_PATH, or asks for regular expressions."""

    def __init__(self, text: str) -> None:
        if len(text) > MAX_PATH:
            raise InvalidParams(f"A path has at most {MAX_PATH} characters.")
        self._query = _compiled(text)

    def find(self, value: Any) -> Iterable[JSONPathNode]:
        """The places in a JSON value, in order. Raises InvalidParams, also while they are iterated over."""
        _work.set(_Work())
        try:
            yield from self._query.finditer(value)
        except RecursionError:
            raise InvalidParams("The path is nested too deep.") from None


def places(path: JsonPath, value: Any, *wanted: Any) -> list[str] | None:
    """The first MAX_FOUND places in a JSON value, as normalized paths; with a value, only those that hold it.

    None when there is none. A place whose path is longer than MAX_PLACE counts and is left out.
    """
    found = (node for node in path.find(value) if not wanted or equal(node.value, wanted[0]))
    paths = [node.path() for node in islice(found, MAX_FOUND)]
    return [path for path in paths if len(path) <= MAX_PLACE] if paths else None


def equal(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal: numbers by their value, whatever form they have (RFC 9535 §2.3.5.2.2)."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)


@lru_cache(maxsize=256)
def _compiled(text: str) -> JSONPathQuery:
    try:
        return _environment.compile(text)
    except JSONPathError as error:
        raise InvalidParams(f"The path is no JSONPath (RFC 9535): {error.args[0] if error.args else error}.") from None
    except RecursionError:
        raise InvalidParams("The path is nested too deep.") from None


class _Counting(JSONPathSegment):
    """What a segment selects, counted; a filter costs something for each element, whether it passes or not."""

    def __init__(self, segment: JSONPathSegment) -> None:
        super().__init__(env=segment.env, token=segment.token, selectors=segment.selectors)
        self._costs = [(selector, _cost(selector)) for selector in segment.selectors]

    def select(self, node: JSONPathNode) -> Iterable[JSONPathNode]:
        work, value = _work.get(), node.value
        for selector, cost in self._costs:
            work.spend(1 + cost * len(value) if cost and isinstance(value, dict | list) else 1)
            for found in selector.resolve(node):
                work.spend()
                yield found


class _Child(_Counting, JSONPathChildSegment):
    def resolve(self, nodes: Iterable[JSONPathNode]) -> Iterable[JSONPathNode]:
        for node in nodes:
            yield from self.select(node)


class _Descendants(_Counting, JSONPathRecursiveDescentSegment):
    def resolve(self, nodes: Iterable[JSONPathNode]) -> Iterable[JSONPathNode]:
        for node in nodes:
            for visited in self._visit(node):
                yield from self.select(visited)


def _cost(selector: JSONPathSelector) -> int:
    """The steps that a selector takes for each element that it only looks at."""
    return 1 + len(str(selector)) // LETTERS_OF_A_STEP if isinstance(selector, FilterSelector) else 0


class _Parser(Parser):
    """Makes segments that count what they do, those within filters too."""

    def parse_query(self, stream: TokenStream, *, in_filter: bool = False) -> Iterable[JSONPathSegment]:
        for segment in super().parse_query(stream, in_filter=in_filter):
            is_descent = isinstance(segment, JSONPathRecursiveDescentSegment)
            yield _Descendants(segment) if is_descent else _Child(segment)


class _Environment(JSONPathEnvironment):
    parser_class = _Parser

    def setup_function_extensions(self) -> None:
        super().setup_function_extensions()
        for name in ("match", "search"):
            del self.function_extensions[name]


_environment = _Environment()
