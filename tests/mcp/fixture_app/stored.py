"""What the suite reads and follows: resources, and prompts, which are resources under their prefix."""

from typing import Any, Final

from tests.mcp.fixture_app.media import IMAGE, PNG, text

PROMPTS: Final = "resource://erlmcp/prompts/"
COLLECTIONS: Final = "resource://erlmcp/collections/"


def prompt(name: str, *messages: Any, arguments: dict[str, str] | None = None) -> dict[str, Any]:
    """The resource of a prompt; its arguments, each with its description, all have to be given."""
    wanted = [{"name": one, "description": told, "required": True} for one, told in (arguments or {}).items()]
    content = {
        "title": name.replace("_", " "),
        "description": f"The prompt {name} of the conformance suite.",
        "arguments": wanted,
        "messages": [{"role": "user", "content": message} for message in messages],
    }
    return {"uri": PROMPTS + name, "content": content}


RESOURCES: Final[list[dict[str, Any]]] = [
    {
        "uri": "test://static-text",
        "name": "static-text",
        "description": "A text that never changes.",
        "text": "This is the content of the static text resource.",
        "mime_type": "text/plain",
    },
    {
        "uri": "test://static-binary",
        "name": "static-binary",
        "description": "A picture that never changes.",
        "blob": PNG,
        "mime_type": "image/png",
    },
    {
        "uri": "test://watched-resource",
        "name": "watched-resource",
        "description": "What the suite subscribes to.",
        "text": "Watched resource content.",
        "mime_type": "text/plain",
    },
    {
        "uri": "test://example-resource",
        "name": "example-resource",
        "description": "What a prompt embeds.",
        "text": "Embedded resource content for testing.",
        "mime_type": "text/plain",
    },
    {
        "uri": COLLECTIONS + "test-template",
        "content": {
            "template": "test://template/{id}/data",
            "title": "Template",
            "description": "Data by id.",
            "mime_type": "application/json",
        },
    },
    {
        "uri": "test://template/123/data",
        "name": "data",
        "content": {"id": "123", "templateTest": True, "data": "Data for ID: 123"},
    },
    prompt("test_simple_prompt", text("This is a simple prompt for testing.")),
    prompt(
        "test_prompt_with_arguments",
        text("Prompt with arguments: arg1='{{arg1}}', arg2='{{arg2}}'"),
        arguments={"arg1": "First test argument", "arg2": "Second test argument"},
    ),
    prompt(
        "test_prompt_with_embedded_resource",
        {"type": "resource", "resource": {"uri": "{{resourceUri}}"}},
        text("Please process the embedded resource above."),
        arguments={"resourceUri": "URI of the resource to embed"},
    ),
    prompt("test_prompt_with_image", IMAGE, text("Please analyze the image above.")),
    prompt(
        "test_input_required_result_prompt",
        text("Answer in this context: {{context}}"),
        arguments={"context": "What context should the prompt use?"},
    ),
]
"""Parameters of `resources/create`, one a resource."""
