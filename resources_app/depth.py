"""How deeply JSON is nested."""

from typing import Any


def is_text_deeper(text: bytes, value: Any, limit: int) -> bool:
    """The same as `is_deeper` of a value, given also as the JSON that it was made of or became.

    Counting brackets costs a hundredth of a walk through the value, and most documents have few.
    """
    return text.count(b"[") + text.count(b"{") > limit and is_deeper(value, limit)


def is_deeper(value: Any, limit: int) -> bool:
    """Whether arrays and objects are nested in each other more than `limit` times; a bare array is nested once."""
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(limit):
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, (dict, list))
        ]
        if not level:
            return False
    return bool(level)
