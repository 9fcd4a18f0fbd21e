"""The API as an OpenAPI 3.1 document: what tests hold it to, and what other programs are made from. Pure."""

from __future__ import annotations

from typing import Any

from egtunnel import __version__
from egtunnel.admin.limits import ApiLimits
from egtunnel.admin.problems import MIME

__all__ = ["document"]

JSON = "application/json"
ID = {"type": "string", "pattern": "^[0-9A-Za-z]{1,32}$"}
MOMENT = {"type": "string", "format": "date-time"}
LABEL = {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[^\x00]+$"}
PORTS = {"type": "array", "maxItems": 100, "items": {"type": "string", "pattern": "^[0-9]{1,5}(-[0-9]{1,5})?$"}}
PATTERNS = {
    "type": "array",
    "maxItems": 100,
    "items": {"type": "string", "maxLength": 253, "pattern": "^[a-z0-9*.-]+$"},
}
DURATION = {"type": "string", "pattern": "^([1-9][0-9]{0,8}[mhdw]|never)$"}


def nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """The same, or null."""
    return {**schema, "type": [schema["type"], "null"]}


def _object(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "type": "object",
        "required": list(required),
        "properties": {**required, **(optional or {})},
        "additionalProperties": False,
    }


PLAIN = {"type": "string", "pattern": "^[^\x00]*$"}
BYTES = {"type": "string", "pattern": "^[1-9][0-9]{0,11}[kMG]?$"}
NUMBER = {"type": "integer", "minimum": 0}
TEXT = {"type": "string"}
TEXTS = {"type": "array", "items": TEXT}
TRUTH = {"type": "boolean"}
SCOPE = _object(
    {},
    {
        "kinds": {"type": "array", "items": {"enum": ["http", "tcp", "tls", "udp"]}, "maxItems": 100},
        "names": PATTERNS,
        "hosts": PATTERNS,
        "tcp_ports": PORTS,
        "udp_ports": PORTS,
        "tunnels": {"type": "integer", "minimum": 0, "maximum": 2**53 - 1},
        "private": TRUTH,
        "sharing": TRUTH,
        "visits": PATTERNS,
        "access": {"type": "object"},
        "limits": _object(
            {},
            {
                "rate": {"type": "string", "pattern": "^[1-9][0-9]{0,11}/[smh]$"},
                "connections": {"type": "integer", "minimum": 1, "maximum": 2**53 - 1},
                "bandwidth-in": BYTES,
                "bandwidth-out": BYTES,
                "quota": BYTES,
            },
        ),
    },
)
TOKEN = {
    "id": ID,
    "name": TEXT,
    "owner": TEXT,
    "state": {"enum": ["good", "revoked", "disabled", "expired"]},
    "scope": {"type": "object"},
    "created": MOMENT,
    "expires": nullable(MOMENT),
    "last_used": nullable(MOMENT),
}
SHARE = {
    "id": ID,
    "owner": TEXT,
    "state": {"enum": ["good", "revoked", "expired"]},
    "tunnels": TEXTS,
    "services": {"type": "array", "items": _object({"name": TEXT, "tunnel": TEXT, "prefix": TEXT})},
    "permissions": TEXTS,
    "created": MOMENT,
    "expires": nullable(MOMENT),
    "uses_left": nullable(NUMBER),
    "use_count": NUMBER,
    "last_used": nullable(MOMENT),
    "passphrase": TRUTH,
    "note": TEXT,
}
HOST = {"type": "string", "maxLength": 253, "pattern": "^[A-Za-z0-9_-]+(\\.[A-Za-z0-9_-]+)*$"}
PREFIX = {"type": "string", "maxLength": 256}
NEW_SHARE = _object(
    {"tunnels": {"type": "array", "minItems": 1, "maxItems": 32, "items": HOST}},
    {
        "owner": LABEL,
        "services": {
            "type": "array",
            "maxItems": 32,
            "items": {"anyOf": [PREFIX, _object({}, {"name": TEXT, "tunnel": HOST, "prefix": PREFIX})]},
        },
        "permissions": {
            "type": "array",
            "minItems": 1,
            "maxItems": 16,
            "items": {"type": "string", "pattern": "^(read|write|[A-Z][A-Z-]{0,31})$"},
        },
        "expires_in": DURATION,
        "uses": {"type": "integer", "minimum": 1, "maximum": 1_000_000_000},
        "passphrase": {"type": "string", "maxLength": 256, "pattern": "^[^\x00]*$"},
        "note": {"type": "string", "maxLength": 500, "pattern": "^[^\x00]*$"},
    },
)
NAME = {"kind": {"enum": ["name", "host", "tcp"]}, "value": TEXT, "owner": TEXT, "proven": TEXT, "created": MOMENT}
NEW_NAME = _object(
    {"kind": {"enum": ["name", "host", "tcp"]}, "value": {"type": "string", "minLength": 1, "maxLength": 253}},
    {"owner": LABEL},
)
OWNER = {"id": ID, "name": TEXT, "created": MOMENT, "disabled": nullable(MOMENT)}
USAGE = {"token": TEXT, "month": TEXT, "requests": NUMBER, "received": NUMBER, "sent": NUMBER}
REFUSAL = {"id": NUMBER, "at": MOMENT, "rule": TEXT, "whom": TEXT, "what": TEXT}
SERVER = _object({"session": TEXT, "client": TEXT, "token": TEXT, "online": TRUTH})
TUNNEL = {
    "kind": {"enum": ["http", "tcp", "tls", "udp"]},
    "name": TEXT,
    "url": TEXT,
    "rules": TEXTS,
    "shared": TRUTH,
    "servers": {"type": "array", "items": SERVER},
    "limits": {"type": ["object", "null"]},
}
CLIENT = {
    "session": TEXT,
    "client": TEXT,
    "token": TEXT,
    "online": TRUTH,
    "tunnels": NUMBER,
    "received": nullable(NUMBER),
    "sent": nullable(NUMBER),
}
STATUS = {
    "version": TEXT,
    "domain": TEXT,
    "tunnels": NUMBER,
    "clients": NUMBER,
    "visitors": NUMBER,
    "workers": NUMBER,
    "uptime": {"type": "number"},
    "store": {"type": ["boolean", "null"]},
}
PROBLEM = _object({"type": TEXT, "title": TEXT, "status": {"type": "integer"}, "detail": TEXT, "word": TEXT})


def _page(name: str, members: dict[str, Any]) -> dict[str, Any]:
    return _object(
        {name: {"type": "array", "items": _object(members)}, "next": {"type": ["string", "integer", "null"]}}
    )


def _listed(name: str, members: dict[str, Any]) -> dict[str, Any]:
    return _object({name: {"type": "array", "items": _object(members)}})


def document(limits: ApiLimits) -> dict[str, Any]:
    """The whole document."""
    limit = _query("limit", {"type": "integer", "minimum": 1, "maximum": limits.most}, "how many rows")
    after = _query("after", PLAIN, "the row after which to go on: next of the answer before")
    owner = _query("owner", PLAIN, "of this owner, by name, alone")
    month = _query("month", {"type": "string", "pattern": "^[0-9]{4}-(0[1-9]|1[0-2])$"}, "this month if left out")
    before = _query("before", {"type": "integer", "minimum": 1, "maximum": 10**14}, "rows before this id")
    id = _path("id", ID)
    pages = [limit, after]
    paths: dict[str, Any] = {
        "/tokens": {
            "get": _operation("list tokens", _answer(_page("tokens", TOKEN)), [*pages, owner]),
            "post": _operation(
                "make a token; its text is in this answer alone",
                _answer(_object({**TOKEN, "token": TEXT}), 201),
                body=_object({"name": LABEL}, {"owner": LABEL, "scope": SCOPE, "expires_in": DURATION}),
            ),
        },
        "/tokens/{id}": {
            "get": _operation("one token", _answer(_object(TOKEN)), [id]),
            "delete": _operation("revoke it: its sessions end within a second", GONE, [id]),
        },
        "/owners": {"get": _operation("list owners", _answer(_page("owners", OWNER)), pages)},
        "/owners/{id}": {
            "patch": _operation(
                "disable one, or enable it again", _answer(_object(OWNER)), [id], _object({"disabled": TRUTH})
            )
        },
        "/names": {
            "get": _operation("list names, hosts and ports kept for owners", _answer(_page("names", NAME)), pages),
            "post": _operation("keep one for an owner", _answer(_object(NAME), 201), body=NEW_NAME),
        },
        "/names/{kind}/{value}": {
            "delete": _operation(
                "let everybody have it again",
                GONE,
                [_path("kind", {"enum": ["name", "host", "tcp"]}), _path("value", {"type": "string", "minLength": 1})],
            )
        },
        "/shares": {
            "get": _operation("list shares", _answer(_page("shares", SHARE)), [*pages, owner]),
            "post": _operation(
                "make a share; its link is in this answer alone",
                _answer(_object({**SHARE, "link": TEXT}), 201),
                body=NEW_SHARE,
            ),
        },
        "/shares/{id}": {
            "get": _operation("one share", _answer(_object(SHARE)), [id]),
            "delete": _operation("revoke it: its link leads nowhere within a second", GONE, [id]),
        },
        "/usage": {"get": _operation("a month of all tokens", _answer(_page("usage", USAGE)), [*pages, month])},
        "/refusals": {"get": _operation("the audit log", _answer(_page("refusals", REFUSAL)), [limit, before])},
        "/status": {"get": _operation("the relay in a few numbers", _answer(_object(STATUS)))},
        "/tunnels": {"get": _operation("tunnels that stand", _answer(_listed("tunnels", TUNNEL)))},
        "/clients": {"get": _operation("clients that are there", _answer(_listed("clients", CLIENT)))},
        "/clients/{session}": {
            "delete": _operation(
                "end a session; the client may come back", GONE, [_path("session", {"type": "string", "minLength": 1})]
            )
        },
        "/limits": {"get": _operation("what is left of the limits of tunnels", _answer(LIMITS))},
        "/events": {"get": _operation("what happens from now on", EVENTS)},
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "egtunnel relay", "version": __version__},
        "servers": [{"url": "/api/v1"}],
        "security": [{"admin": []}],
        "components": {"securitySchemes": {"admin": {"type": "http", "scheme": "bearer"}}},
        "paths": paths,
    }


LIMITS = _object({"limits": {"type": "array", "items": {"type": "object", "required": ["kind", "name"]}}})


def _content(kind: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {kind: {"schema": schema}}


def _answer(schema: dict[str, Any], status: int = 200) -> dict[str, Any]:
    return {str(status): {"description": "done", "content": _content(JSON, schema)}}


GONE = {"204": {"description": "done"}}
EVENTS = {"200": {"description": "events", "content": _content("text/event-stream", TEXT)}}


def _operation(
    summary: str,
    answers: dict[str, Any],
    parameters: list[dict[str, Any]] | None = None,
    body: dict[str, Any] | None = None,
) -> dict[str, Any]:
    found: dict[str, Any] = {"summary": summary, "responses": {**answers, "default": _problem()}}
    if parameters:
        found["parameters"] = parameters
    if body is not None:
        found["requestBody"] = {"required": True, "content": _content(JSON, body)}
    return found


def _problem() -> dict[str, Any]:
    return {"description": "not done, and why", "content": _content(MIME.decode(), PROBLEM)}


def _query(name: str, schema: dict[str, Any], text: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": text}


def _path(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": schema}
