"""Patches of JSON content: JSON Merge Patch (RFC 7386) and JSON Patch (RFC 6902)."""

from typing import Any, Literal

import jsonpatch
import jsonpointer
import orjson
from django.conf import settings

from audit_app.errors import InvalidParams, TooDeep, TooLarge
from resources_app.depth import is_deeper
from resources_app.errors import PatchFailed

PatchType = Literal["merge", "json"]

MAX_OPERATIONS = 1000
OPERATION_DEPTH = 2
"""How deep in a JSON Patch the values of its operations lie."""
MAX_TOLD = 200
"""Characters of what was sent that a refusal says again."""


def apply_patch(document: Any, patch: Any, patch_type: PatchType) -> Any:
    """The document after the patch. Neither the document given nor the patch changes; the result may share their parts.

    While it is applied, nothing grows beyond the document, the patch and RESOURCE_MAX_BYTES of copies together.
    Raises InvalidParams for something that is no patch, PatchFailed (with the `path` that failed) for one that does not
    fit the document, TooLarge and TooDeep for a result beyond the limits.
    """
    if is_deeper(patch, settings.JSON_MAX_DEPTH + OPERATION_DEPTH):
        raise TooDeep(limit=settings.JSON_MAX_DEPTH)
    patched = merge_patch(document, patch) if patch_type == "merge" else _json_patch(document, patch)
    if is_deeper(patched, settings.JSON_MAX_DEPTH):
        raise TooDeep(limit=settings.JSON_MAX_DEPTH)
    return patched


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7386 §2: objects are merged, null removes, everything else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def _json_patch(document: Any, patch: Any) -> Any:
    operations = _operations(patch)
    document = orjson.loads(orjson.dumps(document))
    copied = 0
    for operation in operations:
        try:
            if operation["op"] == "copy":
                source = jsonpointer.resolve_pointer(document, operation["from"])
                if isinstance(source, jsonpointer.EndOfList):
                    raise PatchFailed('Nothing can be copied from "-", behind the end.', path=operation["from"])
                copied += len(orjson.dumps(source))
                if copied > settings.RESOURCE_MAX_BYTES:
                    raise TooLarge(limit=settings.RESOURCE_MAX_BYTES)
            document = jsonpatch.JsonPatch([operation]).apply(document, in_place=True)
        except orjson.JSONEncodeError:
            # copies of copies, nested deeper than any document can be written
            raise TooDeep(limit=settings.JSON_MAX_DEPTH) from None
        except jsonpatch.InvalidJsonPatch as error:
            raise _no_operation(error) from None
        except jsonpatch.JsonPatchTestFailed:
            raise PatchFailed("A test of the patch failed.", path=operation["path"]) from None
        except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, KeyError, TypeError):
            # the library's own words may repeat the whole content
            message = f"The patch cannot be applied: {_named(operation)} does not fit the content."
            raise PatchFailed(message, path=operation["path"]) from None
    return document


def _operations(patch: Any) -> list[dict[str, Any]]:
    """The operations of a patch, each with an `op` that exists and with pointers that can be read."""
    if not isinstance(patch, list):
        raise InvalidParams("A JSON Patch is an array of operations.")
    if len(patch) > MAX_OPERATIONS:
        raise TooLarge(f"A JSON Patch has at most {MAX_OPERATIONS} operations.", limit=MAX_OPERATIONS)
    try:
        jsonpatch.JsonPatch(patch)
        for operation in patch:
            if operation["op"] in {"copy", "move"}:
                jsonpointer.JsonPointer(operation["from"])
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, KeyError, TypeError) as error:
        raise _no_operation(error) from None
    return patch


def _named(operation: dict[str, Any]) -> str:
    """An operation by what it does and where."""
    source = f" from {_told(operation['from'])!r}" if operation["op"] in {"copy", "move"} else ""
    return f"{operation['op']} at {_told(operation['path'])!r}{source}"


def _no_operation(error: Exception) -> InvalidParams:
    return InvalidParams(f"Not a JSON Patch operation: {_told(str(error))}")


def _told(text: str) -> str:
    return text if len(text) <= MAX_TOLD else f"{text[:MAX_TOLD]}…"
