"""The API as one resource of Twisted's web server: routes, who may use them, and how errors are told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from klein import Klein
from twisted.internet.defer import CancelledError, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from egtunnel.admin.authority import Authority
from egtunnel.admin.desk import Desk
from egtunnel.admin.openapi import document
from egtunnel.admin.problems import Problem, problem_of, send_json
from egtunnel.admin.reading import query
from egtunnel.admin.tables import Names, Owners, Records, Shares, Tokens
from egtunnel.errors import Refused, StoreError, StoreUnavailable

__all__ = ["make_app"]

BASE = "/api/v1"
_LOG = Logger()


def make_app(desk: Desk, authority: Authority) -> Klein:
    """All routes."""
    app = Klein()
    tokens, owners, names, shares, records = Tokens(desk), Owners(desk), Names(desk), Shares(desk), Records(desk)
    live = _Live(desk)
    routes: list[tuple[str, str, Callable[..., Any]]] = [
        ("GET", "/tokens", tokens.list),
        ("POST", "/tokens", tokens.create),
        ("GET", "/tokens/<id>", tokens.show),
        ("DELETE", "/tokens/<id>", tokens.revoke),
        ("GET", "/owners", owners.list),
        ("PATCH", "/owners/<id>", owners.change),
        ("GET", "/names", names.list),
        ("POST", "/names", names.reserve),
        ("DELETE", "/names/<kind>/<value>", names.release),
        ("GET", "/shares", shares.list),
        ("POST", "/shares", shares.create),
        ("GET", "/shares/<id>", shares.show),
        ("DELETE", "/shares/<id>", shares.revoke),
        ("GET", "/usage", records.usage),
        ("GET", "/refusals", records.refusals),
        ("GET", "/status", live.status),
        ("GET", "/tunnels", live.tunnels),
        ("GET", "/clients", live.clients),
        ("DELETE", "/clients/<session>", live.disconnect),
        ("GET", "/limits", live.limits),
        ("GET", "/events", live.events),
    ]
    for method, path, act in routes:
        _add(app, authority, method, path, act)

    @app.route(f"{BASE}/openapi.json", methods=["GET"], strict_slashes=True)
    def openapi(request: Any) -> bytes:
        return send_json(request, 200, document(desk.limits))

    no_route: Any = _no_route
    app.handle_errors(HTTPException)(no_route)
    return app


def _add(app: Klein, authority: Authority, method: str, path: str, act: Callable[..., Any]) -> None:
    def serve(request: Any, **words: str) -> Any:
        def run() -> Any:
            authority.check(request)
            return act(request, **words)

        return maybeDeferred(run).addErrback(_failed, request)

    serve.__name__ = f"{method.lower()}{path.translate(str.maketrans('/<>', '___'))}"
    app.route(f"{BASE}{path}", methods=[method], strict_slashes=True)(serve)


def _failed(reason: Failure, request: Any) -> bytes:
    error: Any = reason.value
    if isinstance(error, CancelledError):  # nobody listens any more
        return b""
    if isinstance(error, Problem):
        return problem_of(request, error)
    if isinstance(error, Refused):
        return problem_of(request, Problem(422, error.reason, error.text))
    if isinstance(error, StoreUnavailable):
        text = "the store is away at the moment"
        return problem_of(request, Problem(503, error.word, text, Retry_After="5"))
    if isinstance(error, StoreError):
        return problem_of(request, Problem(507, error.word, error.text))
    _LOG.failure("a request to the API failed", failure=reason)
    return problem_of(request, Problem(500, "defect", "a defect of the relay; its log says more"))


def _no_route(request: Any, reason: Failure) -> bytes:
    error = reason.value
    if isinstance(error, MethodNotAllowed):
        allowed = ", ".join(sorted(error.valid_methods or ()))
        return problem_of(request, Problem(405, "method-not-allowed", f"here there is {allowed}", Allow=allowed))
    return problem_of(request, Problem(404, "not-found", "the API has nothing here; see /api/v1/openapi.json"))


class _Live:
    """The resources that are the relay as it runs."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def status(self, request: Any) -> bytes:
        """The relay in a few numbers."""
        query(request, ())
        store = self._desk.store
        there = None if store is None else store.available
        return send_json(request, 200, {**self._desk.live.status(), "store": there})

    def tunnels(self, request: Any) -> bytes:
        """All that stand."""
        query(request, ())
        return send_json(request, 200, {"tunnels": self._desk.live.tunnels()})

    def clients(self, request: Any) -> bytes:
        """All that are there."""
        query(request, ())
        return send_json(request, 200, {"clients": self._desk.live.clients()})

    def disconnect(self, request: Any, session: str) -> bytes:
        """End one's session; it may come back."""
        query(request, ())
        if not self._desk.live.disconnect(session):
            raise Problem(404, "no-such-client", "there is no client with this session")
        return send_json(request, 204, None)

    def limits(self, request: Any) -> bytes:
        """What is left of the limits of each tunnel that has some."""
        query(request, ())
        found = [
            {"kind": tunnel["kind"], "name": tunnel["name"], **tunnel["limits"]}
            for tunnel in self._desk.live.tunnels()
            if tunnel["limits"] is not None
        ]
        return send_json(request, 200, {"limits": found})

    def events(self, request: Any) -> Any:
        """What happens from now on, until the listener goes."""
        query(request, ())
        return self._desk.events.subscribe(request).over
