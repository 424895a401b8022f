"""What the demo defines for agents: collections of its resources, and prompts about them (docs/prompts.md)."""

from typing import Any

import orjson

from resources_app.changes import Content, Write
from resources_app.definitions import ROOT
from resources_app.state import Kind

DEMO = "resource://demo.local"
STATION = f"{DEMO}/stations/{{city}}"
WEATHER = f"{DEMO}/weather/{{city}}"

COLLECTIONS = {
    "demo-stations": ("Stations", STATION, "What a station is like."),
    "demo-departures": ("Departures", f"{STATION}/departures", "The next departures from a station."),
    "demo-weather": ("Weather", WEATHER, "The weather in a city, as it was observed last."),
}


def definitions() -> list[Write]:
    """All of them; the same every time."""
    return [
        *(
            _write(f"collections/{name}", title, template=template, description=about, mime_type="application/json")
            for name, (title, template, about) in COLLECTIONS.items()
        ),
        _write(
            "prompts/demo-journey",
            "Plan a journey",
            description="Which train to take from a city, with its weather and its departures at hand.",
            arguments=[
                {"name": "city", "description": "Where it begins", "required": True, "template": WEATHER},
                {"name": "to", "description": "Where it ends; anywhere, if left out"},
                {"name": "style", "description": "How to answer", "values": ["briefly", "in detail", "as a table"]},
            ],
            messages=[
                _said("Plan a train journey from {{city}}. Destination: {{to}}. Take delays into account. {{style}}"),
                _shown("resource://demo.local/stations/{{city}}/departures"),
                _shown("resource://demo.local/weather/{{city}}"),
            ],
        ),
    ]


def _said(text: str) -> dict[str, Any]:
    return {"role": "user", "content": {"type": "text", "text": text}}


def _shown(uri: str) -> dict[str, Any]:
    return {"role": "user", "content": {"type": "resource", "resource": {"uri": uri}}}


def _write(path: str, title: str, **content: Any) -> Write:
    body = orjson.dumps({"title": title, **content})
    return Write(uri=ROOT + path, content=Content(kind=Kind.JSON, body=body, size=len(body)), title=title)
