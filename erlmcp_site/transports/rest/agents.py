"""What is stored for agents over REST: prompts, collections of resources, completion (docs/prompts.md)."""

from erlmcp_site.methods.completion import CompleteParams
from erlmcp_site.transports.http.bodies import document_of
from erlmcp_site.transports.http.incoming import Incoming
from erlmcp_site.transports.http.openapi import WITH_BODY, documented
from erlmcp_site.transports.rest.calls import Call, MethodView, fields_of
from erlmcp_site.transports.rest.documents import (
    CollectionPage,
    CompletionDocument,
    FilledPrompt,
    PromptBody,
    PromptPage,
)
from resources_app.serializers import PageParams


class PromptsView(MethodView):
    """The prompts that there are."""

    @documented("prompts/list", {200: PromptPage}, parameters=[PageParams])
    def get(self, incoming: Incoming) -> Call:
        return Call("prompts/list", fields_of(incoming, "limit", "cursor"))


class PromptView(MethodView):
    """One prompt, filled."""

    @documented("prompts/get", {200: FilledPrompt}, body=PromptBody, refusals=["invalid_uri", *WITH_BODY])
    def post(self, incoming: Incoming, name: str) -> Call:
        return Call("prompts/get", document_of(incoming, optional=True) | {"name": name})


class TemplatesView(MethodView):
    """The collections of resources, by the templates of their URIs."""

    @documented("resources/templates", {200: CollectionPage}, parameters=[PageParams])
    def get(self, incoming: Incoming) -> Call:
        return Call("resources/templates", fields_of(incoming, "limit", "cursor"))


class CompletionView(MethodView):
    """What an argument or a variable may be completed to."""

    @documented("completion/complete", {200: CompletionDocument}, body=CompleteParams, refusals=["invalid_uri"])
    def post(self, incoming: Incoming) -> Call:
        return Call("completion/complete", document_of(incoming))
