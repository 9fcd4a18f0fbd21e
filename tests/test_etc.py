"""The samples in ``etc/`` are read by the programs they are for: twistd's options, systemd, nginx, haproxy."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from egtunnel.client.tap import Options as ClientOptions
from egtunnel.relay.tap import Options as RelayOptions
from tests.client.certificates import Authority
from tests.integration.daemons import free_port
from tests.integration.programs import program
from tests.proxies import ETC, certificate, haproxy_cfg, haproxy_tcp_cfg, moved, nginx_conf

UNITS = ("egrelay.service", "egclient.service")
MOST_EXPOSURE = 20
"""In tenths, as systemd-analyze security counts; systemd itself calls up to 2.0 safe."""


def run(*argv: str | Path) -> str:
    """The output of a program that must end well."""
    done = subprocess.run([str(word) for word in argv], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def pem(tmp_path: Path) -> dict[str, Path]:
    """A certificate for the samples' names."""
    return certificate(Authority(tmp_path), tmp_path, "example.com", "*.example.com")


def test_the_relay_reads_its_sample() -> None:
    """Every key of egrelay.toml is an option, and the relay it describes stands behind a proxy of the same machine."""
    options = RelayOptions()
    options.parseOptions(["--config", str(ETC / "egrelay.toml")])
    settings = options.settings
    assert (settings.addresses.domain, settings.interface, settings.ports) == ("example.com", "127.0.0.1", (7070,))
    assert settings.addresses.name_url("app") == "https://app.example.com"
    assert "127.0.0.1" in settings.trusted and "127.0.0.2" not in settings.trusted


def test_the_relay_reads_the_sample_of_one_that_stands_alone() -> None:
    """It listens on both ports of all addresses, with certificates, and trusts nobody."""
    options = RelayOptions()
    options.parseOptions(["--config", str(ETC / "egrelay-alone.toml")])
    settings = options.settings
    assert (settings.ports, settings.redirect, settings.tls.folder) == ((443, 80), True, Path("/etc/egtunnel/certs"))
    assert settings.interface in ("::", "")
    assert settings.addresses.name_url("app") == "https://app.example.com"
    assert "127.0.0.1" not in settings.trusted


def test_the_relay_reads_the_lines_for_haproxy_in_tcp_mode(tmp_path: Path) -> None:
    """They stand at the head of haproxy's own sample."""
    lines = (ETC / "haproxy-tcp.cfg").read_text().partition("\nglobal")[0].splitlines()
    file = tmp_path / "egrelay.toml"
    file.write_text("\n".join(line.removeprefix("#   ") for line in lines if line.startswith("#   ")))
    options = RelayOptions()
    options.parseOptions(["--config", str(file)])
    settings = options.settings
    assert bool(settings.tls) and settings.ports == (7070,) and "127.0.0.1" in settings.trusted
    assert settings.addresses.name_url("app") == "https://app.example.com"


def test_the_client_reads_its_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every key of egclient.toml is an option; it describes an encrypted link and seven tunnels."""
    monkeypatch.setenv("EGTUNNEL_TOKEN", "a-token-for-this-test")
    monkeypatch.delenv("EGTUNNEL_RELAY", raising=False)
    options = ClientOptions()
    options.parseOptions(["--config", str(ETC / "egclient.toml")])
    assert options.relays[0].url == "wss://example.com:443/connect"
    assert [(offer.kind, offer.name or offer.host or offer.port) for offer in options.offers] == [
        ("http", "app"),
        ("http", "dev"),
        ("http", "www.example.org"),
        ("tcp", 20022),
        ("udp", 20053),
        ("tls", "shop"),
        ("http", "db"),
    ]


def unit(name: str, folder: Path) -> Path:
    """A unit that starts the twistd of this environment."""
    twistd = Path(sys.executable).with_name("twistd")
    file = folder / name
    file.write_text(moved((ETC / name).read_text(), {"/opt/egtunnel/bin/twistd": str(twistd)}))
    return file


@pytest.mark.parametrize("name", UNITS)
def test_systemd_understands_the_unit(name: str, tmp_path: Path) -> None:
    """``systemd-analyze verify`` has nothing to say."""
    assert run(program("systemd-analyze"), "verify", unit(name, tmp_path)) == ""


def test_systemd_understands_the_socket(tmp_path: Path) -> None:
    """Beside the service it is for; its ports are those of the sample for a relay that stands alone."""
    unit("egrelay.service", tmp_path)
    socket = tmp_path / "egrelay.socket"
    socket.write_text((ETC / "egrelay.socket").read_text())
    assert run(program("systemd-analyze"), "verify", socket) == ""
    options = RelayOptions()
    options.parseOptions(["--config", str(ETC / "egrelay-alone.toml")])
    lines = [line for line in socket.read_text().splitlines() if line.startswith("ListenStream=")]
    assert lines == [f"ListenStream={port}" for port in options.settings.ports]


@pytest.mark.parametrize("name", UNITS)
def test_systemd_finds_the_unit_well_protected(name: str, tmp_path: Path) -> None:
    """``systemd-analyze security`` finds no more exposure than it calls safe."""
    analyze = program("systemd-analyze")
    if "--offline" not in run(analyze, "--help"):
        pytest.skip("this systemd-analyze cannot judge a unit that is not loaded")
    run(analyze, "security", "--offline=yes", f"--threshold={MOST_EXPOSURE}", unit(name, tmp_path))


@pytest.mark.parametrize("name", UNITS)
def test_the_unit_starts_a_command_line_that_the_daemon_reads(name: str, tmp_path: Path) -> None:
    """What stands after the daemon's name in ExecStart are options it has; the token is in no option."""
    start = next(line for line in (ETC / name).read_text().splitlines() if line.startswith("ExecStart="))
    daemon = name.removesuffix(".service")
    before, _, after = start.partition(f" {daemon} ")
    assert before == "ExecStart=/opt/egtunnel/bin/twistd --nodaemon --pidfile="
    (tmp_path / "token").write_text("a-token-for-this-test\n")
    (tmp_path / "token").chmod(0o600)
    options = RelayOptions() if daemon == "egrelay" else ClientOptions()
    options.parseOptions(
        moved(
            after,
            {
                f"/etc/egtunnel/{daemon}.toml": str(ETC / f"{daemon}.toml"),
                "${STATE_DIRECTORY}": str(tmp_path),
                "${CREDENTIALS_DIRECTORY}": str(tmp_path),
            },
        ).split()
    )
    assert options["token-file"] in (tmp_path / "token", [tmp_path / "token"])  # the client may have several
    assert "LoadCredential=token:" in (ETC / name).read_text()


@pytest.mark.parametrize("name", UNITS)
def test_the_unit_is_reloaded_with_sighup(name: str) -> None:
    """The signal at which the daemon reads its file again."""
    assert "\nExecReload=kill -HUP $MAINPID\n" in (ETC / name).read_text()


def test_the_drop_in_for_certificates_is_understood(tmp_path: Path) -> None:
    """It names the group that ``certbot-deploy`` gives the files to."""
    file = unit("egrelay.service", tmp_path)
    file.write_text(file.read_text() + (ETC / "egrelay-certs.conf").read_text())
    assert run(program("systemd-analyze"), "verify", file) == ""
    assert "SupplementaryGroups=egtunnel" in file.read_text()
    assert "group=${EGTUNNEL_GROUP:-egtunnel}" in (ETC / "certbot-deploy").read_text()


def test_certbots_new_certificate_goes_where_the_relay_reads_it(tmp_path: Path) -> None:
    """In one file with its key, which nobody else may read; an older one is replaced."""
    lineage, certs = tmp_path / "live" / "example.com", tmp_path / "etc" / "certs"
    lineage.mkdir(parents=True)
    for turn in ("first", "second"):
        (lineage / "fullchain.pem").write_text(f"{turn} chain\n")
        (lineage / "privkey.pem").write_text(f"{turn} key\n")
        subprocess.run(
            [ETC / "certbot-deploy"],
            env={
                "PATH": os.environ["PATH"],
                "RENEWED_LINEAGE": str(lineage),
                "EGTUNNEL_CERTS": str(certs),
                "EGTUNNEL_GROUP": str(os.getgid()),
            },
            check=True,
        )
        assert (certs / "example.com.pem").read_text() == f"{turn} chain\n{turn} key\n"
    assert [file.name for file in certs.iterdir()] == ["example.com.pem"]
    assert (certs / "example.com.pem").stat().st_mode & 0o777 == 0o640
    assert certs.stat().st_mode & 0o777 == 0o750


def test_nginx_reads_its_sample(tmp_path: Path, pem: dict[str, Path]) -> None:
    """``nginx -t`` accepts it within a distribution's http block."""
    nginx = program("nginx")
    conf = nginx_conf(tmp_path, pem, plain=free_port(), secure=free_port())
    assert "[emerg]" not in run(nginx, "-t", "-p", tmp_path, "-c", conf)


def test_haproxy_reads_its_sample(tmp_path: Path, pem: dict[str, Path]) -> None:
    """``haproxy -c`` accepts it, without a warning."""
    haproxy = program("haproxy")
    cfg = haproxy_cfg(tmp_path, pem, plain=free_port(), secure=free_port())
    assert "WARNING" not in run(haproxy, "-c", "-f", cfg)
    cfg = haproxy_tcp_cfg(tmp_path, plain=free_port(), secure=free_port())
    assert "WARNING" not in run(haproxy, "-c", "-f", cfg)


def test_a_sample_that_changed_is_noticed() -> None:
    """The tests above would otherwise check a file that still points to port 443."""
    with pytest.raises(AssertionError):
        moved("listen 443;", {"listen 80;": "listen 8080;"})
