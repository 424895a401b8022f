"""The places, lines and pages of the demo."""

CITIES = {
    "amsterdam": (52.37, 4.90),
    "athens": (37.98, 23.73),
    "barcelona": (41.39, 2.17),
    "berlin": (52.52, 13.40),
    "brussels": (50.85, 4.35),
    "bucharest": (44.43, 26.10),
    "budapest": (47.50, 19.04),
    "copenhagen": (55.68, 12.57),
    "dublin": (53.35, -6.26),
    "geneva": (46.20, 6.14),
    "hamburg": (53.55, 9.99),
    "helsinki": (60.17, 24.94),
    "krakow": (50.06, 19.94),
    "lisbon": (38.72, -9.14),
    "ljubljana": (46.06, 14.51),
    "london": (51.51, -0.13),
    "lyon": (45.76, 4.84),
    "madrid": (40.42, -3.70),
    "milan": (45.46, 9.19),
    "munich": (48.14, 11.58),
    "oslo": (59.91, 10.75),
    "paris": (48.86, 2.35),
    "porto": (41.15, -8.61),
    "prague": (50.08, 14.44),
    "reykjavik": (64.15, -21.94),
    "riga": (56.95, 24.11),
    "rome": (41.90, 12.50),
    "rotterdam": (51.92, 4.48),
    "stockholm": (59.33, 18.07),
    "tallinn": (59.44, 24.75),
    "turin": (45.07, 7.69),
    "valencia": (39.47, -0.38),
    "vienna": (48.21, 16.37),
    "vilnius": (54.69, 25.28),
    "warsaw": (52.23, 21.01),
    "zurich": (47.38, 8.54),
}

SKIES = ("clear", "partly cloudy", "overcast", "light rain", "rain", "snow", "fog")
PAIRS = ("EUR-CHF", "EUR-CZK", "EUR-DKK", "EUR-GBP", "EUR-HUF", "EUR-JPY", "EUR-NOK", "EUR-PLN", "EUR-SEK", "EUR-USD")
FLAGS = ("new-timetable", "night-trains", "paperless-tickets", "quiet-coach", "seat-maps", "tap-to-ride")
SENSORS = ("pm10", "pm25", "no2", "o3")
LINES = tuple(zip(list(CITIES)[::2], list(CITIES)[1::2], strict=True))

PAGES = {
    "welcome": (
        "Welcome",
        "This tree is a demo: stations, weather, air, rates and lines that never existed.\n\n"
        "- `resource://demo.local/weather/*` changes while `python manage.py demo --rate 20` runs.\n"
        "- `python manage.py demo --remove` removes all of it.\n",
    ),
    "reading": (
        "Reading a resource",
        "`GET /api/v1/resources/demo.local/weather/helsinki` answers the resource with its version and `ETag`.\n"
        "Ask again with `If-None-Match` and nothing comes over the wire until it has changed.\n",
    ),
    "writing": (
        "Changing a resource",
        "`PUT` sets the whole content, `PATCH` with `application/merge-patch+json` a part of it.\n"
        "With `If-Match` the change is refused when somebody was faster.\n",
    ),
    "following": (
        "Following",
        "`GET /api/v1/events/stream?uri=resource://demo.local/weather/*` tells every change below, in order.\n"
        "After a lost connection, `Last-Event-ID` goes on where it ended, without a gap.\n",
    ),
    "history": (
        "History",
        "`?history=1` lists the versions that the log still keeps, the newest first.\n"
        "`?version=2` reads one of them, `?diff=2` tells what has changed since.\n",
    ),
    "batches": (
        "Batches",
        "`POST /api/v1/resources/batch` applies several changes, all or none of them.\n",
    ),
}
