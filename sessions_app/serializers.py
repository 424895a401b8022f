"""The parameters of the methods on tokens and sessions: what is checked before a handler runs."""

from typing import Any

import orjson
from rest_framework import serializers

from resources_app.serializers import LineField
from sessions_app.scopes import parse_scope
from sessions_app.tokens import MAX_TOKEN_CHARACTERS

MAX_PASSWORD_CHARACTERS = 1024
MAX_CODE_CHARACTERS = 64
MAX_METADATA_BYTES = 16 * 1024
DAY_SECONDS = 86400
KEY_SECONDS, MAX_KEY_SECONDS = 90 * DAY_SECONDS, 366 * DAY_SECONDS


class MetadataField(serializers.DictField):
    """A JSON object of the caller's own, up to 16 KiB."""

    default_error_messages = {"too_large": f"Metadata has at most {MAX_METADATA_BYTES} bytes as JSON."}

    def to_internal_value(self, data: Any) -> Any:
        value = super().to_internal_value(data)
        if len(orjson.dumps(value)) > MAX_METADATA_BYTES:
            self.fail("too_large")
        return value


class ScopeField(serializers.CharField):
    """Names of permissions with blanks between them; its value is the set of them."""

    def to_internal_value(self, data: Any) -> Any:
        try:
            return parse_scope(super().to_internal_value(data))
        except ValueError as error:
            raise serializers.ValidationError(str(error)) from None


class LoginParams(serializers.Serializer[Any]):
    username = serializers.CharField(max_length=150)
    password = serializers.CharField(max_length=MAX_PASSWORD_CHARACTERS, trim_whitespace=False)
    scope = ScopeField(max_length=1000, required=False)
    code = serializers.CharField(max_length=MAX_CODE_CHARACTERS, allow_blank=True, default="")


class RefreshParams(serializers.Serializer[Any]):
    refresh = serializers.CharField(max_length=MAX_TOKEN_CHARACTERS)


class CreateParams(serializers.Serializer[Any]):
    backend = serializers.ChoiceField(["database", "cache"], default="database")
    label = LineField(max_length=255, allow_blank=True, default="")  # type: ignore[assignment]
    client_id = serializers.CharField(max_length=255, allow_blank=True, default="")
    metadata = MetadataField(default=dict)
    state = serializers.ChoiceField(["initializing", "active"], default="active")


class SessionParams(serializers.Serializer[Any]):
    session = serializers.CharField(max_length=255)


class UpdateParams(SessionParams):
    label = LineField(max_length=255, allow_blank=True, required=False)  # type: ignore[assignment]
    metadata = MetadataField(required=False)
    state = serializers.ChoiceField(["active"], required=False)


class NewKeyParams(serializers.Serializer[Any]):
    label = LineField(max_length=255, allow_blank=True, default="")  # type: ignore[assignment]
    scope = ScopeField(max_length=1000, required=False)
    expires_in = serializers.IntegerField(min_value=1, max_value=MAX_KEY_SECONDS, default=KEY_SECONDS)


class KeyParams(serializers.Serializer[Any]):
    id = serializers.CharField(max_length=255)
