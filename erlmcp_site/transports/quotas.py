"""What the limits leave to a caller, as headers of HTTP and metadata of gRPC tell it (docs/limits.md)."""

import math
from collections.abc import Sequence
from functools import lru_cache

from audit_app.errors import Refusal
from sessions_app.buckets import Quota

POLICY, LEFT, WAIT = "ratelimit-policy", "ratelimit", "retry-after"


def quota_fields(quotas: Sequence[Quota]) -> tuple[tuple[str, str], ...]:
    """What the limits are and what they leave (draft-ietf-httpapi-ratelimit-headers-10); nothing for no quotas."""
    if not quotas:
        return ()
    policies, left = [], []
    for limit, amount, seconds, remaining, wait in quotas:
        policies.append(_policy(limit, amount, seconds))
        left.append(f'"{limit}";r={remaining};t={wait}')
    return (POLICY, ", ".join(policies)), (LEFT, ", ".join(left))


def wait_fields(refusal: Refusal) -> tuple[tuple[str, str], ...]:
    """How many whole seconds to wait, where a refusal says for how long."""
    if refusal.retry_after is None:
        return ()
    return ((WAIT, str(max(1, math.ceil(refusal.retry_after)))),)


@lru_cache(maxsize=64)
def _policy(limit: str, amount: int, seconds: int) -> str:
    return f'"{limit}";q={amount};w={seconds}'
