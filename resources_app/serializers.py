"""The parameters of the methods on resources, subscriptions and events: what is checked before a handler runs."""

import re
from collections.abc import Sequence
from typing import Any

from rest_framework import serializers

from resources_app.patterns import Pattern, parse_pattern
from resources_app.queries import Consistency
from resources_app.state import OnConflict
from resources_app.uris import MAX_URI_BYTES, normalise

UNSHOWABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
MAX_LIMIT = 1000
MAX_OPERATIONS = 1000
MAX_OFFSET = 2**63 - 1
PLAIN_READ = frozenset({"uri", "consistency"})
PLAIN_WRITE = frozenset({"uri", "content"})
CONSISTENCIES = [choice.value for choice in Consistency]
EVENT_TYPES = ("created", "updated", "deleted")


class ExactField(serializers.CharField):
    """A text with the blanks around it, which no URI has."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, **kwargs)


class UriField(ExactField):
    """A resource URI; its value is the normalised URI. Raises InvalidUri, which is more telling than a field error."""

    def to_internal_value(self, data: Any) -> str:
        return normalise(super().to_internal_value(data))


class PatternField(ExactField):
    """What may be followed: a resource URI or a pattern; its value is a Pattern. Raises InvalidUri."""

    def to_internal_value(self, data: Any) -> Pattern:  # type: ignore[override]
        return parse_pattern(super().to_internal_value(data))


class LineField(serializers.CharField):
    """One line for people to read: without controls, and without marks that show text in another order than it has
    (Unicode TR 36 §2.5). It is kept as it came, in whatever normal form.
    """

    default_error_messages = {"controls": "Give one line, without control or direction characters."}

    def to_internal_value(self, data: Any) -> str:
        line = super().to_internal_value(data)
        if UNSHOWABLE.search(line):
            self.fail("controls")
        return line


class AnyField(serializers.Field[Any, Any, Any, Any]):
    """Any JSON value, null included."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_null=True, **kwargs)

    def to_internal_value(self, data: Any) -> Any:
        return data

    def to_representation(self, value: Any) -> Any:
        return value


class SomeField(serializers.MultipleChoiceField):
    """One or more of several names; its value has each once, in the order in which they are given here."""

    def __init__(self, names: Sequence[str], **kwargs: Any) -> None:
        super().__init__(choices=names, allow_empty=False, **kwargs)

    def to_internal_value(self, data: Any) -> list[str]:  # type: ignore[override]
        chosen = super().to_internal_value(data)
        return [name for name in self.choices if name in chosen]


class FromField(serializers.Field[Any, Any, Any, Any]):
    """Where to begin: "now", "earliest", or the last offset that the client has."""

    default_error_messages = {"invalid": 'Give "now", "earliest" or an offset.'}

    def to_internal_value(self, data: Any) -> str | int:
        if data in ("now", "earliest"):
            return str(data)
        if isinstance(data, str) and data.isascii() and data.isdigit() and len(data) < 20:
            data = int(data)
        if isinstance(data, int) and not isinstance(data, bool) and 0 <= data <= MAX_OFFSET:
            return data
        self.fail("invalid")

    def to_representation(self, value: Any) -> Any:
        return value


class OffsetField(serializers.IntegerField):
    """A position in the log. As a text, plain digits only."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=0, max_value=MAX_OFFSET, **kwargs)

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, str) and not (data.isascii() and data.isdigit()):
            self.fail("invalid")
        return super().to_internal_value(data)


class VersionField(serializers.IntegerField):
    """A version of a resource."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=1, max_value=MAX_OFFSET, **kwargs)


class ReadParams(serializers.Serializer[Any]):
    uri = UriField()
    consistency = serializers.ChoiceField(CONSISTENCIES, required=False)
    after = OffsetField(required=False)
    version = VersionField(required=False)
    raw = serializers.BooleanField(default=False)

    def run_validation(self, data: Any = serializers.empty) -> Any:
        """The plain read, by far the most frequent request, does not need the machinery."""
        if isinstance(data, dict) and data.keys() <= PLAIN_READ and isinstance(data.get("uri"), str):
            consistency = data.get("consistency", Consistency.CAUSAL)
            if consistency in CONSISTENCIES:
                return {"uri": normalise(data["uri"]), "raw": False, "consistency": consistency}
        return super().run_validation(data)


class PageParams(serializers.Serializer[Any]):
    limit = serializers.IntegerField(min_value=1, max_value=MAX_LIMIT, default=100)
    cursor = serializers.CharField(required=False, max_length=4096)


class ListParams(PageParams):
    prefix = serializers.CharField(default="", allow_blank=True, max_length=MAX_URI_BYTES)


class HistoryParams(PageParams):
    uri = UriField()


class DiffParams(serializers.Serializer[Any]):
    """Which two versions to compare; without `to`, with the present one."""

    uri = UriField()
    to = VersionField(required=False)

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return super().get_fields() | {"from": VersionField()}


class BasedParams(serializers.Serializer[Any]):
    """What every change may say of its base."""

    uri = UriField()
    base_version = serializers.IntegerField(min_value=0, max_value=MAX_OFFSET, required=False, allow_null=True)
    on_conflict = serializers.ChoiceField([rule.value for rule in OnConflict], required=False)
    must_exist = serializers.BooleanField(required=False)


class WriteParams(BasedParams):
    content = AnyField(required=False)
    text = AnyField(required=False)
    blob = AnyField(required=False)
    mime_type = serializers.RegexField(
        r"^[\w!#$&^.+-]+/[\w!#$&^.+-]+( *; *[\w!#$&^.+-]+=([\w!#$&^.+-]+|\"[^\"\\\r\n]*\"))*$",
        max_length=255,
        required=False,
    )
    name = LineField(max_length=255, required=False, allow_blank=True)
    title = LineField(max_length=255, required=False, allow_blank=True)
    description = serializers.CharField(max_length=4096, required=False, allow_blank=True)

    def run_validation(self, data: Any = serializers.empty) -> Any:
        """A write of content and nothing else, the most frequent change, does not need the machinery."""
        if isinstance(data, dict) and data.keys() == PLAIN_WRITE and isinstance(data["uri"], str):
            return {"uri": normalise(data["uri"]), "content": data["content"]}
        return super().run_validation(data)


class PatchParams(BasedParams):
    patch = AnyField()
    patch_type = serializers.ChoiceField(["merge", "json"], default="merge")


class DeleteParams(BasedParams):
    pass


class RestoreParams(BasedParams):
    version = serializers.IntegerField(min_value=1, max_value=MAX_OFFSET)


class OperationParams(serializers.Serializer[Any]):
    method = serializers.ChoiceField(
        ["resources/create", "resources/write", "resources/patch", "resources/delete", "resources/restore"]
    )
    params = serializers.DictField()


class BatchParams(serializers.Serializer[Any]):
    operations: serializers.ListSerializer[Any] = serializers.ListSerializer(
        child=OperationParams(), allow_empty=False, max_length=MAX_OPERATIONS
    )


class DeliveryOptions(serializers.Serializer[Any]):
    batch_size = serializers.IntegerField(min_value=1, max_value=1000, default=1000)
    throttle_ms = serializers.IntegerField(min_value=0, max_value=60_000, default=0)
    delta = serializers.BooleanField(default=False)
    include_content = serializers.BooleanField(default=True)


class FollowParams(serializers.Serializer[Any]):
    """What to follow: a URI or pattern, or a durable subscription."""

    uri = PatternField(required=False)
    subscription = serializers.CharField(required=False, max_length=64)
    events = SomeField(EVENT_TYPES, required=False)
    options = DeliveryOptions(required=False)
    after = OffsetField(required=False)

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return super().get_fields() | {"from": FromField(required=False)}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("uri" in attrs) == ("subscription" in attrs):
            raise serializers.ValidationError("Give either uri or subscription.")
        return attrs


class SubscriptionParams(serializers.Serializer[Any]):
    uri = PatternField()
    events = SomeField(EVENT_TYPES, required=False)
    client_id = serializers.CharField(max_length=255, required=False, allow_blank=True)
    options = DeliveryOptions(required=False)

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        label = LineField(max_length=255, default="", allow_blank=True)
        return super().get_fields() | {"label": label, "from": FromField(default="now")}


class OneSubscriptionParams(serializers.Serializer[Any]):
    subscription = serializers.CharField(max_length=64)


class PollParams(OneSubscriptionParams):
    after = OffsetField(required=False)
    timeout_ms = serializers.IntegerField(min_value=0, max_value=60_000, default=30_000)
    limit = serializers.IntegerField(min_value=1, max_value=MAX_LIMIT, default=100)


class AckParams(OneSubscriptionParams):
    offset = OffsetField()
