"""A way through a SOCKS5 proxy (RFC 1928), with user and password if it wants them (RFC 1929). Pure."""

from __future__ import annotations

from ipaddress import ip_address

from egtunnel.client.way import ProxyRefused

__all__ = ["SocksRequest"]

VERSION, CONNECT = 5, 1
OPEN, PASSWORD, NOTHING = 0x00, 0x02, 0xFF
IPV4, NAME, IPV6 = 1, 3, 4
FAULTS = {
    1: "general failure",
    2: "its rules do not let us through to there",
    3: "the relay's network is unreachable from there",
    4: "the relay's host is unreachable from there",
    5: "the relay refused the connection: is the port right?",
    6: "the way is too long",
    7: "it does not do this",
    8: "it does not know this kind of address",
}


class SocksRequest:
    """Asks for a host and port; a name is looked up by the proxy. ``user`` empty: without a login."""

    def __init__(self, host: str, port: int, user: str = "", password: str = "") -> None:
        self.rest: bytes | None = None
        self._request = bytes((VERSION, CONNECT, 0)) + _address(host) + port.to_bytes(2, "big")
        self._login = (user.encode(), password.encode()) if user else None
        self._data = b""
        self._step = self._chosen

    def begin(self) -> bytes:
        """What logins we could do."""
        methods = bytes((OPEN, PASSWORD)) if self._login else bytes((OPEN,))
        return bytes((VERSION, len(methods))) + methods

    def received(self, data: bytes) -> bytes:
        """What the proxy says, in any pieces. Raises ProxyRefused."""
        self._data += data
        said = b""
        while self.rest is None:
            answer = self._step()
            if answer is None:
                break
            said += answer
        return said

    def _take(self, size: int) -> bytes | None:
        if len(self._data) < size:
            return None
        taken, self._data = self._data[:size], self._data[size:]
        return taken

    def _chosen(self) -> bytes | None:
        words = self._take(2)
        if words is None:
            return None
        if words[0] != VERSION:
            raise ProxyRefused("what answers is no SOCKS5 proxy")
        if words[1] == PASSWORD and self._login is not None:
            self._step = self._known
            user, password = self._login
            return bytes((1, len(user))) + user + bytes((len(password),)) + password
        if words[1] != OPEN:
            raise ProxyRefused("it wants a login: give it as socks5://user:password@host:port")
        self._step = self._opened
        return self._request

    def _known(self) -> bytes | None:
        words = self._take(2)
        if words is None:
            return None
        if words[1] != 0:
            raise ProxyRefused("it does not accept this login")
        self._step = self._opened
        return self._request

    def _opened(self) -> bytes | None:
        """The reply ends with an address of the kind that it says."""
        if len(self._data) < 2:
            return None
        if self._data[0] != VERSION:
            raise ProxyRefused("what answers is no SOCKS5 proxy")
        if self._data[1] != 0:
            raise ProxyRefused(FAULTS.get(self._data[1], f"failure {self._data[1]}"))
        if len(self._data) < 5:
            return None
        sizes = {IPV4: 4, IPV6: 16, NAME: 1 + self._data[4]}
        if self._data[3] not in sizes:
            raise ProxyRefused("what answers is no SOCKS5 proxy")
        reply = self._take(4 + sizes[self._data[3]] + 2)
        if reply is None:
            return None
        self.rest, self._data = self._data, b""
        return b""


def _address(host: str) -> bytes:
    try:
        address = ip_address(host)
    except ValueError:
        name = host.encode("ascii")
        return bytes((NAME, len(name))) + name
    return bytes((IPV4 if address.version == 4 else IPV6,)) + address.packed
