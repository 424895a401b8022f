"""`python -m erlmcp_site.probe`: whether the web process on PORT takes requests, for what supervises it.

It starts in a few hundredths of a second, for which it knows nothing of Django and reads its two variables itself.
"""

import argparse
import os
import sys
import time
from http.client import HTTPConnection, HTTPException

PAUSE_SECONDS = 0.2


def is_ready(host: str, port: int) -> bool:
    """Whether `/health/ready` answers 200."""
    connection = HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def main(arguments: list[str]) -> int:
    """0 once it is ready, 1 if it is not within the seconds that were given."""
    parser = argparse.ArgumentParser(prog="erlmcp_site.probe", description=__doc__)
    parser.add_argument("--within", type=float, default=0.0, metavar="SECONDS", help="ask again until then (0: once)")
    until = time.monotonic() + parser.parse_args(arguments).within
    host = os.environ.get("HOST", "").strip()
    host = "127.0.0.1" if host in {"", "0.0.0.0", "::"} else host
    port = int(os.environ.get("PORT", "").strip() or 8000)
    while not is_ready(host, port):
        if time.monotonic() >= until:
            return 1
        # a process that starts, perhaps on another machine, tells nobody when it is ready: it is asked again
        time.sleep(PAUSE_SECONDS)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
