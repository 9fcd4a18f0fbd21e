"""The rule ``webhook``: only requests that a service has signed, with a secret that it shares with the client."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from zope.interface import implementer

from egtunnel.access.hashing import Run
from egtunnel.access.values import members, texts
from egtunnel.access.webhooks import KINDS, Signed, read_signed
from egtunnel.guard import AccessError, Asked, Denial, IGuard, Verdict
from egtunnel.interfaces import Visitor

__all__ = ["BAD_SIGNATURE", "TOO_OLD", "WebhookLimits", "WebhookRule", "webhook"]

BAD_SIGNATURE = Denial(403, "bad-signature", "This tunnel takes requests with the right signature only.")
TOO_OLD = Denial(403, "old-signature", "This request was signed too long ago, or its sender's clock is wrong.")

_HEADER = re.compile("[a-z0-9-]{1,64}")
STANDARD = "whsec_"


@attrs.frozen
class WebhookLimits:
    """``body``: bytes of a request that are held until all of them are there. ``window``: seconds between the moment
    that is signed and now. ``secrets``: of one tunnel, each of ``shortest`` characters or more. ``thread``: bytes from
    which on a thread works the signature out.
    """

    body: int = 33_554_432
    window: float = 300.0
    secrets: int = 10
    shortest: int = 8
    thread: int = 262_144


def webhook(value: Any, run: Run, wall: Callable[[], float], limits: WebhookLimits) -> WebhookRule:
    """The rule: an object of ``kind``, ``header`` and ``secrets``. Raises AccessError, which repeats no secret."""
    kind, header, given = members("webhook", value, ("kind", "header", "secrets"))
    if kind not in KINDS:
        raise AccessError(f"webhook: this relay knows the signatures {', '.join(KINDS)}")
    if not isinstance(header, str) or not (_HEADER.fullmatch(header) if kind == "hmac" else header == ""):
        raise AccessError("webhook: hmac needs the name of a header, in lower case, and nothing else may have one")
    secrets = texts("webhook", given, limits.secrets)
    if any(len(secret) < limits.shortest for secret in secrets):
        raise AccessError(f"webhook: a secret has {limits.shortest} characters or more")
    return WebhookRule(kind, header, [_bytes(kind, secret) for secret in secrets], run, wall, limits)


def _bytes(kind: str, secret: str) -> bytes:
    if kind != "standard" or not secret.startswith(STANDARD):
        return secret.encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(secret.removeprefix(STANDARD), validate=True)
    except (binascii.Error, ValueError):
        raise AccessError(f"webhook: after {STANDARD} a secret is Base64") from None


@implementer(IGuard)
class WebhookRule:
    """Reads the body of what seems to be signed, and passes it on whole if the signature is right."""

    __slots__ = ("_header", "_kind", "_limits", "_run", "_secrets", "_wall")

    def __init__(
        self,
        kind: str,
        header: str,
        secrets: Sequence[bytes],
        run: Run,
        wall: Callable[[], float],
        limits: WebhookLimits,
    ) -> None:
        self._kind = kind
        self._header = header
        self._secrets = secrets
        self._run = run
        self._wall = wall
        self._limits = limits

    def judge(self, asked: Asked, visitor: Visitor) -> Verdict | Deferred[Verdict]:
        """By the headers first: who shows no signature, or an old one, has nothing read."""
        signed = read_signed(self._kind, self._header, asked.values)
        if signed is None or asked.upgrade:  # what follows an upgrade is covered by no signature
            return BAD_SIGNATURE
        if not self._fresh(signed):
            return TOO_OLD
        return asked.read_body(self._limits.body).addCallback(self._check, signed)

    def admits(self, visitor: Visitor) -> bool:
        """No: without HTTP there is no signature."""
        return False

    def _check(self, body: bytes, signed: Signed) -> Verdict | Deferred[Verdict]:
        if not self._fresh(signed):  # the body may have taken long
            return TOO_OLD
        if len(body) < self._limits.thread:
            return _verdict(signed.fits(self._secrets, body))
        return self._run(lambda: signed.fits(self._secrets, body)).addCallback(_verdict)

    def _fresh(self, signed: Signed) -> bool:
        return signed.fresh(self._wall(), self._limits.window)


def _verdict(right: bool) -> Verdict:
    return None if right else BAD_SIGNATURE
