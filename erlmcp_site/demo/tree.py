"""The demo's resources: about 200 below resource://demo.local/, of every kind of content."""

import base64
from collections.abc import Iterator
from random import Random
from typing import Any

import orjson

from erlmcp_site.demo.picture import png
from erlmcp_site.demo.places import CITIES, FLAGS, LINES, PAGES, PAIRS, SENSORS, SKIES
from resources_app.changes import Content, Write
from resources_app.state import Kind

ROOT = "resource://demo.local/"
SEED = 20261123


def tree() -> list[Write]:
    """The whole demo as it is first loaded; the same every time."""
    chance = Random(SEED)
    return [*_pages(), *_live(chance), *_stations(chance), *_lines(chance), *_settings()]


def weather(city: str, chance: Random) -> Write:
    latitude, longitude = CITIES[city]
    observation = {
        "city": city,
        "position": {"latitude": latitude, "longitude": longitude},
        "temperature": {"value": round(32 - latitude / 2.5 + chance.gauss(0, 3), 1), "unit": "°C"},
        "wind": {"speed": round(abs(chance.gauss(4, 3)), 1), "direction": chance.randrange(0, 360, 10), "unit": "m/s"},
        "sky": chance.choice(SKIES),
        "humidity": round(chance.uniform(0.3, 0.98), 2),
    }
    return write(f"weather/{city}", observation, title=f"Weather in {city.title()}")


def air(city: str, chance: Random) -> Write:
    readings = [{"sensor": name, "value": round(abs(chance.gauss(18, 9)), 1), "unit": "µg/m³"} for name in SENSORS]
    return write(f"air/{city}", readings, title=f"Air in {city.title()}")


def departures(city: str, chance: Random) -> Write:
    minutes = sorted(chance.sample(range(60), 6))
    board = [
        {
            "minute": minute,
            "to": chance.choice([other for other in CITIES if other != city]),
            "platform": chance.randrange(1, 13),
            "delay_minutes": chance.choice((0, 0, 0, 0, 2, 5, 12)),
        }
        for minute in minutes
    ]
    return write(
        f"stations/{city}/departures", {"station": city, "departures": board}, title=f"{city.title()} departures"
    )


def rate(pair: str, chance: Random) -> Write:
    return write(f"rates/{pair.lower()}", round(chance.uniform(0.8, 1.2), 5), title=pair.replace("-", " in "))


def write(path: str, content: Any, *, title: str) -> Write:
    """Set a demo resource to a JSON value."""
    body = orjson.dumps(content)
    return Write(uri=ROOT + path, content=Content(kind=Kind.JSON, body=body, size=len(body)), title=title)


def _live(chance: Random) -> Iterator[Write]:
    for city in CITIES:
        yield weather(city, chance)
        yield air(city, chance)
    for pair in PAIRS:
        yield rate(pair, chance)


def _stations(chance: Random) -> Iterator[Write]:
    for city in CITIES:
        station = {
            "name": f"{city.title()} Central",
            "opened": chance.randrange(1841, 1995),
            "platforms": chance.randrange(6, 25),
            "services": sorted(chance.sample(["lockers", "lounge", "bicycles", "taxi", "tram", "metro", "bus"], 4)),
            "accessible": chance.random() < 0.9,
            "note": None,
        }
        yield write(f"stations/{city}", station, title=f"{city.title()} Central")
        yield departures(city, chance)


def _lines(chance: Random) -> Iterator[Write]:
    for number, (start, end) in enumerate(LINES, 1):
        line = {"number": number, "from": start, "to": end, "minutes": chance.randrange(90, 900, 5), "stops": []}
        yield write(f"lines/{number}", line, title=f"{start.title()} – {end.title()}")


def _settings() -> Iterator[Write]:
    for number, flag in enumerate(FLAGS):
        yield write(f"flags/{flag}", number % 2 == 0, title=flag)
    yield write("settings/display", {"theme": "light", "clock": {"hours": 24, "seconds": False}}, title="Display")


def _pages() -> Iterator[Write]:
    for name, (title, text) in PAGES.items():
        body = f"# {title}\n\n{text}".encode()
        content = Content(kind=Kind.TEXT, body=body, size=len(body))
        yield Write(uri=f"{ROOT}docs/{name}.md", content=content, mime_type="text/markdown", title=title)
    picture = png()
    content = Content(kind=Kind.BLOB, body=base64.b64encode(picture), size=len(picture))
    yield Write(uri=f"{ROOT}images/rings.png", content=content, mime_type="image/png", title="Rings")
