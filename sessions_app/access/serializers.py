"""The parameters of the methods on access rules: what is checked before a handler runs."""

from typing import Any

from rest_framework import serializers

from resources_app.patterns import Pattern
from resources_app.serializers import MAX_LIMIT, UriField
from sessions_app.access.rules import Effect, Verb, parse_area

MAX_NAME = 150
VERBS = [verb.value for verb in Verb]


class AreaField(UriField):
    """Where a rule holds: a URI, a pattern, or `*`; its value is a Pattern. Raises InvalidUri."""

    def to_internal_value(self, data: Any) -> Pattern:  # type: ignore[override]
        return parse_area(serializers.CharField.to_internal_value(self, data))


class VerbsField(serializers.MultipleChoiceField):
    """Verbs, in their usual order."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(choices=VERBS, allow_empty=False, **kwargs)

    def to_internal_value(self, data: Any) -> list[str]:  # type: ignore[override]
        chosen = super().to_internal_value(data)
        return [verb for verb in VERBS if verb in chosen]


class PrincipalParams(serializers.Serializer[Any]):
    """Whom a rule is for: a user or a group by name, or everyone."""

    user = serializers.CharField(max_length=MAX_NAME, required=False)
    group = serializers.CharField(max_length=MAX_NAME, required=False)
    everyone = serializers.BooleanField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        named = [name for name in ("user", "group", "everyone") if attrs.get(name)]
        if len(named) != 1:
            raise serializers.ValidationError("Give one of user, group and everyone.")
        return attrs


class GrantParams(PrincipalParams):
    pattern = AreaField()
    verbs = VerbsField()
    effect = serializers.ChoiceField([effect.value for effect in Effect], default=Effect.ALLOW.value)
    expires_at = serializers.DateTimeField(required=False, allow_null=True)


class RuleParams(serializers.Serializer[Any]):
    rule = serializers.CharField(max_length=64)


class ListParams(serializers.Serializer[Any]):
    limit = serializers.IntegerField(min_value=1, max_value=MAX_LIMIT, default=100)
    cursor = serializers.CharField(max_length=255, required=False)


class ExplainParams(serializers.Serializer[Any]):
    """Whose rights, and where."""

    user = serializers.CharField(max_length=MAX_NAME)
    uri = AreaField()
