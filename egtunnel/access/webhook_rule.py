"""The rule ``webhook``: a request comes in if who sent it has signed its body."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from egtunnel.access.limits import AccessLimits
from egtunnel.access.values import members, texts
from egtunnel.access.webhooks import KINDS, Signature, read_signature, signed
from egtunnel.guard import AccessError, Asked, Denial, IGuard, Verdict
from egtunnel.interfaces import Visitor

__all__ = ["WebhookRule", "webhook"]

WANTED = Denial(401, "signature-wanted", "This tunnel takes signed webhooks only, and this request has no signature.")
WRONG = Denial(401, "signature-wrong", "The signature is not that of this request and of the tunnel's secret.")
OLD = Denial(401, "signature-old", "The signature is of a time too far from now.")
_NAME = re.compile(r"[A-Za-z0-9-]{1,64}")


def webhook(value: Any, wall: Callable[[], float], limits: AccessLimits) -> WebhookRule:
    """The rule: how senders sign, their secrets, and the header if it is another one. Raises AccessError.

    No error repeats a secret.
    """
    kind, header, secrets = members("webhook", value, ("kind", "header", "secrets"))
    if not isinstance(kind, str) or kind not in KINDS:
        raise AccessError(f"webhook: the kinds are {', '.join(KINDS)}")
    if header != "" and (not isinstance(header, str) or _NAME.fullmatch(header) is None):
        raise AccessError("webhook: header is the name of one, or empty")
    found = texts("webhook", secrets, limits.webhook_secrets)
    return WebhookRule(kind, header.lower().encode(), [secret.encode() for secret in found], wall, limits)


@implementer(IGuard)
class WebhookRule:
    """Reads the whole body, up to a limit, before anything of the request goes on; then it goes on whole."""

    def __init__(
        self, kind: str, header: bytes, secrets: Sequence[bytes], wall: Callable[[], float], limits: AccessLimits
    ) -> None:
        self._kind = kind
        self._header = header
        self._secrets = secrets
        self._wall = wall
        self._limits = limits

    def judge(self, asked: Asked, visitor: Visitor) -> Verdict | Deferred[Verdict]:
        """By the signature's header, and then by the body; who has no signature sends no body."""
        signature = read_signature(self._kind, asked.values, self._header)
        if signature is None:
            return WANTED
        moment = signature.moment
        if moment is not None and abs(self._wall() - moment) > self._limits.webhook_window:
            return OLD
        return asked.read_body(self._limits.webhook_body).addCallback(self._decide, signature)

    def admits(self, visitor: Visitor) -> bool:
        """No: without HTTP there is no signature."""
        return False

    def _decide(self, body: bytes, signature: Signature) -> Verdict:
        return None if signed(signature, self._secrets, body) else WRONG
