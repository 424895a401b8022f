"""What PRODUCTION=1 demands of the other settings before anything starts.

Production is what others reach over a network, through a proxy that ends TLS. Only an operator knows whether that is
so; without PRODUCTION=1 erlmcp runs with nothing set at all, for trying out on one machine.
"""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network

SECRET_CHARACTERS = 50
DIFFERENT_CHARACTERS = 10
KNOWN_SECRETS = ("django-insecure-", "changeme", "change-me", "change_me", "secret", "password", "insecure", "example")
"""How secrets begin that were never meant to be one."""


def objections(
    *,
    secret: str,
    debug: bool,
    hosts: Sequence[str],
    origins: Sequence[str],
    proxies: Sequence[IPv4Network | IPv6Network],
) -> list[str]:
    """Why a production must not start with these settings, a sentence each; each names the variable."""
    found = []
    if debug:
        found.append("DEBUG must be off: its error pages show code and settings to whoever asks.")
    if is_weak(secret):
        found.append(
            f"SECRET_KEY must have at least {SECRET_CHARACTERS} characters that nobody can guess: "
            """python3 -c 'import secrets; print(secrets.token_urlsafe(50))' makes one."""
        )
    if "*" in hosts:
        found.append("ALLOWED_HOSTS must name the hosts that are served, not *.")
    if any(origin.startswith("http://") for origin in origins):
        found.append("ALLOWED_ORIGINS must be https: pages that came in the clear are whoever stood in between.")
    if not proxies:
        found.append(
            "TRUSTED_PROXIES must name the proxy that ends TLS, or nobody comes over TLS as far as one can see."
        )
    if any(proxy.prefixlen == 0 for proxy in proxies):
        found.append("TRUSTED_PROXIES must not be everybody: anyone could claim any address.")
    return found


def is_weak(secret: str) -> bool:
    """Whether a secret is short, monotonous, or one of those that stand in examples."""
    if secret.lower().startswith(KNOWN_SECRETS):
        return True
    return len(secret) < SECRET_CHARACTERS or len(set(secret)) < DIFFERENT_CHARACTERS
