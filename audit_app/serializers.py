"""What the audit methods take."""

from datetime import datetime
from typing import Any

from rest_framework import serializers

from audit_app.trail import Queue

MAX_LIMIT = 1000


class Moment(serializers.DateTimeField):
    """A moment in ISO 8601, in UTC when it names no offset.

    A query string that was not escaped turns the plus of an offset into a blank; it is taken for the plus it was.
    """

    def to_internal_value(self, value: Any) -> datetime:
        if isinstance(value, str) and "T" in value:
            value = value.replace(" ", "+")
        return super().to_internal_value(value)


class ListParams(serializers.Serializer[Any]):
    """Parameters of `audit/list`."""

    queue = serializers.ChoiceField([queue.name.lower() for queue in Queue], required=False)
    action = serializers.CharField(required=False, max_length=255)
    user = serializers.CharField(required=False, max_length=255)
    resource = serializers.CharField(required=False, max_length=2048)
    outcome = serializers.ChoiceField(["success", "refused", "error"], required=False)
    since = Moment(required=False)
    until = Moment(required=False)
    cursor = serializers.CharField(required=False, max_length=255)
    limit = serializers.IntegerField(required=False, default=100, min_value=1, max_value=MAX_LIMIT)
