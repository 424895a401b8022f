"""What the audit methods take."""

from datetime import datetime
from typing import Any

from rest_framework import serializers

from audit_app.queries import Order
from audit_app.trail import Queue

MAX_LIMIT = 1000
MAX_SEQUENCE = 2**63 - 1


class Moment(serializers.DateTimeField):
    """A moment in ISO 8601, in UTC when it names no offset.

    A query string that was not escaped turns the plus of an offset into a blank; it is taken for the plus it was.
    """

    def to_internal_value(self, value: Any) -> datetime:
        if isinstance(value, str) and "T" in value:
            value = value.replace(" ", "+")
        return super().to_internal_value(value)


class Filters(serializers.Serializer[Any]):
    """Which entries are wanted. A `resource` that ends in `/*` stands for everything below it."""

    queue = serializers.ChoiceField([queue.name.lower() for queue in Queue], required=False)
    action = serializers.CharField(required=False, max_length=255)
    user = serializers.CharField(required=False, max_length=255)
    resource = serializers.CharField(required=False, max_length=2048)
    outcome = serializers.ChoiceField(["success", "refused", "error"], required=False)
    since = Moment(required=False)
    until = Moment(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "since" in attrs and "until" in attrs and attrs["since"] > attrs["until"]:
            raise serializers.ValidationError({"until": ["This is before since."]})
        return attrs


class ListParams(Filters):
    """Parameters of `audit/list`."""

    order = serializers.ChoiceField([str(order) for order in Order], required=False, default=str(Order.NEWEST))
    cursor = serializers.CharField(required=False, max_length=255)
    limit = serializers.IntegerField(required=False, default=100, min_value=1, max_value=MAX_LIMIT)


class VerifyParams(serializers.Serializer[Any]):
    """Which entries to verify, by their sequence: `from` and `until` are among them; without them, from end to end."""

    until = serializers.IntegerField(required=False, min_value=1, max_value=MAX_SEQUENCE)

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        start = serializers.IntegerField(required=False, min_value=1, max_value=MAX_SEQUENCE)
        return super().get_fields() | {"from": start}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs.get("from", 1) > attrs.get("until", MAX_SEQUENCE):
            raise serializers.ValidationError({"until": ["This is before from."]})
        return attrs
