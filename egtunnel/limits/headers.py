"""What an answer says of a limit: Retry-After, RateLimit and RateLimit-Policy. Pure.

The two latter as in draft-ietf-httpapi-ratelimit-headers: structured fields, ``r`` what is left, ``t`` seconds until
there is more, ``q`` the quota, ``w`` its window in seconds.
"""

from __future__ import annotations

import re

from egtunnel.limits.bucket import SECOND, Bucket

__all__ = ["policy_value", "rate_limit_value", "retry_after"]

_NAME = re.compile(r"[a-z0-9-]{1,32}", re.ASCII)


def retry_after(bucket: Bucket, now: int) -> int:
    """Whole seconds, rounded up, at least 1: who waits as long gets in, if nobody else came."""
    return max(1, _seconds(bucket.wait(now)))


def rate_limit_value(name: str, bucket: Bucket, now: int) -> str:
    """``"visitor";r=3;t=1``."""
    left = bucket.available(now)
    more = bucket.wait(now, min(left + 1, bucket.rate.most))
    return f"{_item(name)};r={left};t={_seconds(more)}"


def policy_value(name: str, bucket: Bucket) -> str:
    """``"visitor";q=100;w=1``."""
    return f"{_item(name)};q={bucket.rate.amount};w={bucket.rate.period}"


def _item(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError("a policy's name is of small letters, digits and hyphens")
    return f'"{name}"'


def _seconds(wait: int) -> int:
    return -(-wait // SECOND)
