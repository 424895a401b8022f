"""Which outside issuers are trusted, as the settings say it."""

import json
import re
from typing import Any

import pytest
from django.conf import settings

from sessions_app.issuers.configuration import MAX_ISSUERS, BadIssuer, parse_issuers

GOOD = {"issuer": "https://i.example", "jwks_url": "https://i.example/jwks", "audience": "a", "algorithms": ["RS256"]}


def test_issuers_are_read_from_json() -> None:
    assert parse_issuers("") == {}
    assert parse_issuers("[]") == {}
    (issuer,) = parse_issuers(json.dumps([GOOD])).values()
    assert (issuer.algorithms, issuer.types, issuer.user_claim) == (("RS256",), ("at+jwt",), "sub")
    assert (issuer.create_users, issuer.scopes) == (False, False)


def test_the_example_of_the_documentation_is_one() -> None:
    text = (settings.BASE_DIR / "docs" / "tokens.md").read_text()
    (example,) = re.findall(r"^TRUSTED_ISSUERS='(.+?)'$", text, re.DOTALL | re.MULTILINE)
    (issuer,) = parse_issuers(example).values()
    assert issuer.groups == {"hub-editors": "user", "hub-readers": "viewer"}


WRONG: list[dict[str, Any]] = [
    *({"algorithms": ["HS256"]}, {"algorithms": ["none"]}, {"algorithms": []}, {"algorithms": "RS256"}),
    *({"jwks_url": "http://i.example/jwks"}, {"jwks_url": "file:///etc/passwd"}, {"jwks_url": "https://"}),
    *({"jwks_url": "https://u:p@i.example/"}, {"jwks_url": "https://[::1/"}, {"audience": ""}),
    *({"issuer": 7}, {"create_users": "yes"}, {"groups": {"a": "b"}}, {"unknown": 1}, {"prefix": "a:"}),
    *({"groups": ["a"], "groups_claim": "g"}, {"types": []}, {"user_claim": ""}),
]


@pytest.mark.parametrize(
    "text",
    [
        *("{", "{}", "7", "[7]", "[{}]", json.dumps([GOOD, GOOD]), "[" * 5000),
        json.dumps([GOOD | {"issuer": f"https://{n}.example"} for n in range(MAX_ISSUERS + 1)]),
        *(json.dumps([GOOD | change]) for change in WRONG),
    ],
)
def test_an_issuer_that_is_wrong_is_named(text: str) -> None:
    with pytest.raises(BadIssuer):
        parse_issuers(text)
