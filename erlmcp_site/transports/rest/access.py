"""Access rules over REST (contract §2)."""

from typing import Any

from rest_framework import serializers

from erlmcp_site.transports.http.bodies import document_of
from erlmcp_site.transports.http.incoming import Incoming
from erlmcp_site.transports.http.openapi import documented
from erlmcp_site.transports.rest import encoding
from erlmcp_site.transports.rest.calls import Call, MethodView, fields_of
from erlmcp_site.transports.rest.documents import Page
from resources_app.serializers import PageParams
from sessions_app.access.decisions import Why
from sessions_app.access.rules import Effect
from sessions_app.access.serializers import VERBS, ExplainParams, GrantParams


class RuleDocument(serializers.Serializer[Any]):
    """A rule: for one of a user, a group, or everyone."""

    id = serializers.CharField()
    user = serializers.CharField(required=False)
    group = serializers.CharField(required=False)
    everyone = serializers.BooleanField(required=False)
    pattern = serializers.CharField()
    verbs = serializers.ListField(child=serializers.ChoiceField(VERBS))
    effect = serializers.ChoiceField([effect.value for effect in Effect])
    created_by = serializers.CharField(allow_blank=True)
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)


class RulePage(Page):
    rules = RuleDocument(many=True)


class VerdictDocument(serializers.Serializer[Any]):
    """Whether a verb is allowed; `rule` is the one that decides, null where none does."""

    allowed = serializers.BooleanField()
    why = serializers.ChoiceField([why.value for why in Why])
    rule = RuleDocument(allow_null=True)


class Verdicts(serializers.Serializer[Any]):
    """A verdict on each verb."""

    read = VerdictDocument()
    write = VerdictDocument()
    delete = VerdictDocument()
    subscribe = VerdictDocument()
    admin = VerdictDocument()


class Explanation(serializers.Serializer[Any]):
    """What a user may do there."""

    user = serializers.CharField()
    uri = serializers.CharField()
    verbs = Verdicts()


class AccessView(MethodView):
    """The rules of access."""

    @documented("access/list", {200: RulePage}, parameters=[PageParams])
    def get(self, incoming: Incoming) -> Call:
        return Call("access/list", fields_of(incoming, "limit", "cursor"))

    @documented("access/grant", {201: RuleDocument}, body=GrantParams, refusals=["invalid_uri"])
    def post(self, incoming: Incoming) -> Call:
        return Call("access/grant", document_of(incoming), encoding.created_below("/api/v1/access"))


class RuleView(MethodView):
    """One rule."""

    @documented("access/revoke", {204: None})
    def delete(self, incoming: Incoming, rule: str) -> Call:
        return Call("access/revoke", {"rule": rule}, encoding.no_content)


class ExplainView(MethodView):
    """What a user may do somewhere, and which rule says so."""

    @documented("access/explain", {200: Explanation}, parameters=[ExplainParams], refusals=["invalid_uri"])
    def get(self, incoming: Incoming) -> Call:
        return Call("access/explain", fields_of(incoming, "user", "uri"))
