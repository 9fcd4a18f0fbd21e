"""A new relay takes the place of the one that runs: it asks for its sockets, and says when it has begun."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

from egtunnel.errors import ConfigurationError
from egtunnel.relay.inherited import Inherited, listens, takes_datagrams

__all__ = ["MOST_ANSWER", "READY", "REQUEST", "SOCKET", "Takeover"]

REQUEST = b"egtunnel handover 1\n"
READY = b"ready\n"
SOCKET = "handover"
"""In the state folder."""
MOST_ANSWER = 1 << 20
"""Bytes of the list of sockets."""
MOST_AT_ONCE = 253
"""Descriptors that Linux passes in one message."""
PATIENCE = 10.0
"""Seconds that a running relay has to answer."""


class Takeover:
    """The new relay's side. Blocking: nothing else goes on in it yet.

    :raises ConfigurationError: from ``begin``; the running relay goes on as before then.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / SOCKET
        self._channel: socket.socket | None = None

    def begin(self) -> Inherited | None:
        """The sockets of the relay that runs; None: there is none. It waits for ``ready`` now."""
        channel = socket.socket(socket.AF_UNIX)
        channel.settimeout(PATIENCE)
        try:
            channel.connect(str(self._file))
        except (FileNotFoundError, ConnectionRefusedError):
            channel.close()
            return None
        except OSError as error:
            channel.close()
            raise ConfigurationError(f"cannot ask the relay that runs ({self._file}): {error.strerror}") from None
        self._channel = channel
        try:
            channel.sendall(REQUEST)
            return self._receive(channel)
        except (OSError, ValueError, LookupError, TypeError) as error:
            self.give_up()
            raise ConfigurationError(f"the relay that runs did not hand over its sockets: {error}") from None

    def ready(self) -> None:
        """We have begun; the other leaves."""
        if self._channel is not None:
            self._channel.sendall(READY)
            self.give_up()

    def give_up(self) -> None:
        """Without ``ready`` the other takes everything back."""
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    def _receive(self, channel: socket.socket) -> Inherited:
        said, descriptors = b"", []
        while not said.endswith(b"\n"):
            data, more, _, _ = socket.recv_fds(channel, 65_536, MOST_AT_ONCE)
            descriptors += more
            said += data
            if not data or len(said) > MOST_ANSWER:
                raise ValueError("it broke off")
        answer: dict[str, Any] = json.loads(said)
        if "refused" in answer:
            raise ValueError(str(answer["refused"]))
        sockets = [socket.socket(fileno=descriptor) for descriptor in descriptors]
        kinds = [(kind, int(port)) for kind in ("ports", "tunnels", "udp") for port in answer.get(kind, ())]
        if len(kinds) != len(sockets) or not all(
            takes_datagrams(each) if kind == "udp" else listens(each)
            for (kind, _), each in zip(kinds, sockets, strict=False)
        ):
            raise ValueError("it sent other sockets than it said")
        inherited = Inherited()
        for (kind, port), passed in zip(kinds, sockets, strict=True):
            getattr(inherited, kind)[port] = passed
        return inherited
