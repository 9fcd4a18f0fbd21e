"""The relay's certificates: which one for which name, and new ones when the files change."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from egtunnel.errors import ConfigurationError
from egtunnel.ingress.tls.context import check_authority, make_context
from egtunnel.ingress.tls.folder import certificate_files
from egtunnel.ingress.tls.key_pair import KeyPair, read_key_pair
from egtunnel.ingress.tls.limits import TLSLimits
from egtunnel.ingress.tls.visitors import VisitorContexts

__all__ = ["Certificates", "Served"]

Files = tuple[Path, Path]
Stamp = tuple[tuple[int, int, int], ...]


class Served:
    """One certificate as it is served; a context is made when it is first needed, and anew for new ticket keys."""

    def __init__(self, pair: KeyPair, files: Files, stamp: Stamp) -> None:
        self.pair = pair
        self.files = files
        self.stamp = stamp
        self._contexts: dict[tuple[Path | None, bool], tuple[float, SSL.Context]] = {}

    def context(self, authority: Path | None, links: bool, now: float, longest: float) -> SSL.Context:
        """A context not older than ``longest`` seconds; with an ``authority`` it asks for a client's certificate.

        ``links``: clients of the relay may choose a bare link.
        """
        since, context = self._contexts.get((authority, links), (0.0, None))
        if context is None or now - since > longest:
            context = make_context(self.pair, authority, links)
            self._contexts[authority, links] = now, context
        return context

    def forget(self, authority: Path) -> None:
        """The authority's file may say something else now."""
        for links in (False, True):
            self._contexts.pop((authority, links), None)


class Certificates:
    """Finds the certificate for a name: exact before wildcard, the one of ``files`` before those of ``folder``.

    :param files: certificate and key that also serve who names no host.
    :param folder: many of them, see ``certificate_files``.
    :param host: the relay's own host name; only there are bare links and are clients asked for a certificate.
    :param authority: the file of the authority of clients' certificates; None: nobody is asked.
    :param visitors: says of another host name whose certificates its visitors have to show.
    :param say: takes one line for a person, about a certificate that is wrong.
    """

    log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        host: str,
        *,
        files: Files | None = None,
        folder: Path | None = None,
        authority: Path | None = None,
        visitors: Callable[[str], str] = lambda name: "",
        say: Callable[[str], None] = lambda line: None,
        limits: TLSLimits | None = None,
    ) -> None:
        self.limits = limits or TLSLimits()
        self._clock = clock
        self._host = host
        self._files = files
        self._folder = folder
        self._authority = authority
        self._visitors = visitors
        self._asking = VisitorContexts()
        self._say = say
        self._served: dict[Files, Served] = {}
        self._bad: dict[Files, Stamp] = {}
        self._names: dict[str, Served] = {}
        self._fallback: Served | None = None
        self._trouble = ""
        self._looking = LoopingCall(self.look)
        self._looking.clock = clock

    def load(self) -> None:
        """Read everything for the first time. Raises ConfigurationError if nothing can be served."""
        self.check()
        first: list[ConfigurationError] = []
        self._read(self._wanted(), first)
        if first and self._files is not None and self._files not in self._served:
            raise first[0]
        if not self._served:
            raise first[0] if first else ConfigurationError(f"there is no certificate in {self._folder}")
        for error in first:
            self._say(f"{error.text}; going on without it")
        self._index()

    def start(self) -> None:
        """Look for changed files from now on."""
        if not self._looking.running:
            self._looking.start(self.limits.poll, now=False)

    def stop(self) -> None:
        """Look no longer."""
        if self._looking.running:
            self._looking.stop()

    def find(self, name: str) -> Served | None:
        """The certificate for a host name in lower case; "" stands for who names none. None: there is none."""
        if not name:
            return self._fallback
        return self._names.get(name) or self._names.get(f"*.{name.partition('.')[2]}")

    def authority(self, name: str) -> str:
        """Whose certificate a visitor of this host has to show, as PEM; empty: none."""
        return "" if name in ("", self._host) else self._visitors(name)

    def context(self, served: Served, name: str, authority: str = "") -> SSL.Context:
        """The context of a handshake with who asked for this name; ``authority`` as above."""
        if authority:
            return self._asking.get(served.pair, authority, self._clock.seconds(), self.limits.tickets)
        links = name in ("", self._host)
        return served.context(self._authority if links else None, links, self._clock.seconds(), self.limits.tickets)

    @property
    def loaded(self) -> bool:
        """Whether they were read."""
        return bool(self._served)

    @property
    def asks_for_certificates(self) -> bool:
        """Whether clients have to show one."""
        return self._authority is not None

    def look(self) -> None:
        """Read what has changed; what is bad is said once, and the certificate of before stays."""
        try:
            wanted = self._wanted()
        except ConfigurationError as error:
            if error.text != self._trouble:
                self._trouble = error.text
                self._say(f"{error.text}; the certificates stay as they are")
            return
        self._trouble = ""
        troubles: list[ConfigurationError] = []
        changed = self._read(wanted, troubles)
        for trouble in troubles:
            self._say(f"{trouble.text}; the certificate of before stays")
        gone = set(self._served) - set(wanted)
        if gone and gone != set(self._served):
            for files in gone:
                self.log.info("the certificate {file} is gone", file=str(files[0]))
                del self._served[files]
            changed = True
        if changed:
            self._index()

    def check(self) -> None:
        """Raises ConfigurationError if the authority of clients cannot be read anew."""
        if self._authority is not None:
            check_authority(self._authority)

    def anew(self) -> None:
        """Look now, and say again what is bad; who shakes hands from now on is judged by the authority as it is now."""
        self._trouble = ""
        self._bad.clear()
        if self._authority is not None:
            for served in self._served.values():
                served.forget(self._authority)
        self.look()

    def _wanted(self) -> list[Files]:
        given = [self._files] if self._files is not None else []
        return given + (certificate_files(self._folder, self.limits.files) if self._folder is not None else [])

    def _read(self, wanted: Iterable[Files], troubles: list[ConfigurationError]) -> bool:
        """Read those that are new or have changed; whether there were any."""
        changed = False
        for files in wanted:
            stamp = _stamp(files)
            served = self._served.get(files)
            if (served is not None and served.stamp == stamp) or self._bad.get(files) == stamp:
                continue
            try:
                pair = read_key_pair(*files, self.limits.file)
                fresh = Served(pair, files, stamp)
                fresh.context(None, False, self._clock.seconds(), self.limits.tickets)
            except (ConfigurationError, SSL.Error) as error:
                self._bad[files] = stamp
                wrong = error if isinstance(error, ConfigurationError) else None
                troubles.append(wrong or ConfigurationError(f"OpenSSL does not take the certificate {files[0]}"))
                continue
            self._bad.pop(files, None)
            self._served[files] = fresh
            changed = True
            if pair.warning:
                self._say(pair.warning)
            if served is not None:
                self.log.info("loaded the certificate {file} anew", file=str(files[0]))
        self._bad = {files: stamp for files, stamp in self._bad.items() if files in wanted}
        return changed

    def _index(self) -> None:
        """Of several for one name the first counts: ``files``, then those of the folder, what lasts longest first."""
        names: dict[str, Served] = {}
        rows = sorted(self._served.values(), key=self._rank)
        for served in rows:
            for name in served.pair.names:
                names.setdefault(name, served)
        self._names = names
        own = names.get(self._host)
        self._fallback = rows[0] if self._files is not None or len(rows) == 1 else own

    def _rank(self, served: Served) -> Any:
        return served.files != self._files, -served.pair.chain[0].not_valid_after_utc.timestamp(), served.files


def _stamp(files: Files) -> Stamp:
    """What changes when a file does: of links, the file they lead to."""
    stamp = []
    for file in files:
        try:
            status = file.stat()
            stamp.append((status.st_mtime_ns, status.st_size, status.st_ino))
        except OSError:
            stamp.append((0, 0, 0))
    return tuple(stamp)
