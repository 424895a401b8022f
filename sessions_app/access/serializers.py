"""The parameters of the methods on access rules: what is checked before a handler runs."""

from typing import Any

from rest_framework import serializers

from resources_app.patterns import Pattern
from resources_app.serializers import ExactField, SomeField
from sessions_app.access.rules import Effect, Verb, parse_area

MAX_NAME = 150
VERBS = [verb.value for verb in Verb]


class AreaField(ExactField):
    """Where a rule holds: a URI, a pattern, or `*`; its value is a Pattern. Raises InvalidUri."""

    def to_internal_value(self, data: Any) -> Pattern:  # type: ignore[override]
        return parse_area(super().to_internal_value(data))


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
    verbs = SomeField(VERBS)
    effect = serializers.ChoiceField([effect.value for effect in Effect], default=Effect.ALLOW.value)
    expires_at = serializers.DateTimeField(required=False, allow_null=True)


class RuleParams(serializers.Serializer[Any]):
    rule = serializers.CharField(max_length=64)


class ExplainParams(serializers.Serializer[Any]):
    """Whose rights, and where."""

    user = serializers.CharField(max_length=MAX_NAME)
    uri = AreaField()
