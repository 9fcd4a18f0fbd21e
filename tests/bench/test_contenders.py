"""How each contender is set up: with authentication, on the loopback address, no secret in a command line."""

from __future__ import annotations

import stat
import tomllib
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from bench.command import able
from bench.contenders import BAR, CONTENDERS
from bench.contenders.base import Ground
from bench.contenders.direct import Direct
from bench.contenders.egtunnel import EGTUNNELS, EGTUNNELS_HTTPS, EGTUNNELS_TLS, Egtunnel, Places
from bench.contenders.nginx import proxy_configuration
from bench.contenders.openssh import server_configuration
from bench.contenders.pair import Pair, Setting
from bench.contenders.peers import PEERS, frp, frp_plain, pagekite, rathole, rathole_noise
from bench.ports import Ports
from bench.upstream import ANSWER_BYTES, nginx_configuration

SECRET = "hush hush"


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return Setting(Ground(8080, tmp_path, Ports()), control=7000, public=9000, secret=SECRET)


def toml(setting: Setting, name: str) -> dict[str, object]:
    return tomllib.loads((setting.ground.folder / name).read_text())


def test_names_are_unique_and_the_bar_is_among_them() -> None:
    """They are what --only and the JSON rest on."""
    names = [contender.name for contender in CONTENDERS]
    assert len(set(names)) == len(names)
    assert BAR in names


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_no_secret_stands_in_a_command_line(peer: Pair, setting: Setting) -> None:
    """Everyone on a machine can read command lines, and files of ours only we."""
    launch = peer.launch(setting)
    assert SECRET not in " ".join([*launch.server, *launch.client])
    for path in setting.ground.folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_every_program_that_a_peer_starts_is_one_it_names(peer: Pair, setting: Setting) -> None:
    """Else it would be tried where it is not installed."""
    launch = peer.launch(setting)
    assert {launch.server[0], launch.client[0]} == set(peer.programs)


def test_frp_is_told_ports_and_token_on_both_sides(setting: Setting) -> None:
    """Both files are TOML and agree."""
    frp(setting)
    server, client = toml(setting, "frps.toml"), toml(setting, "frpc.toml")
    assert server["bindPort"] == client["serverPort"] == 7000
    assert server["transport"] == {"tls": {"force": True}}
    assert client["transport"] == {"tls": {"enable": True}}
    assert server["auth"] == client["auth"] == {"method": "token", "token": SECRET}
    proxy = {"name": "bench", "type": "tcp", "localIP": "127.0.0.1", "localPort": 8080, "remotePort": 9000}
    assert client["proxies"] == [proxy]


def test_rathole_is_told_ports_and_token_on_both_sides(setting: Setting) -> None:
    """Both files are TOML and agree."""
    rathole(setting)
    server, client = toml(setting, "server.toml")["server"], toml(setting, "client.toml")["client"]
    assert server == {
        "bind_addr": "127.0.0.1:7000",
        "default_token": SECRET,
        "services": {"bench": {"bind_addr": "127.0.0.1:9000"}},
    }
    assert client == {
        "remote_addr": "127.0.0.1:7000",
        "default_token": SECRET,
        "services": {"bench": {"local_addr": "127.0.0.1:8080"}},
    }


def test_peers_with_plain_links_are_told_so(setting: Setting) -> None:
    """Each beside the same with encryption, in the same run."""
    frp_plain(setting)
    assert toml(setting, "frpc.toml")["transport"] == {"tls": {"enable": False}}
    encrypts = {peer.name: peer.encrypts for peer in PEERS}
    assert (encrypts["frp"], encrypts["frp-plain"]) == (True, False)
    assert (encrypts["rathole-noise"], encrypts["rathole"]) == (True, False)


def test_ratholes_client_knows_the_key_of_its_server(setting: Setting) -> None:
    """Noise with a public key that belongs to the server's private one."""
    rathole_noise(setting)
    server: Any = toml(setting, "server.toml")["server"]
    client: Any = toml(setting, "client.toml")["client"]
    assert server["transport"]["type"] == client["transport"]["type"] == "noise"
    private = b64decode(server["transport"]["noise"]["local_private_key"])
    public = b64decode(client["transport"]["noise"]["remote_public_key"])
    assert X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw() == public


def test_the_proxy_beside_us_keeps_its_connections(tmp_path: Path) -> None:
    """It is to be as cheap as it can be: nobody is helped by a weak measure."""
    text = proxy_configuration(9000, 8080, tmp_path, "")
    assert "server 127.0.0.1:8080; keepalive 512;" in text
    assert 'proxy_set_header Connection "";' in text
    assert "listen 127.0.0.1:9000 " in text
    assert "access_log off;" in text


def test_http_tunnels_are_measured_with_their_access_log(tmp_path: Path) -> None:
    """TCP tunnels have none."""
    places = Places(7070, 20001, 8080, tmp_path)
    for contender in (*EGTUNNELS, *EGTUNNELS_TLS):
        assert ("--access-log" in contender.relay_options(places)) is not contender.tcp


def test_pagekites_secret_holds_no_blank(setting: Setting) -> None:
    """Its files know no quotes."""
    pagekite(setting)
    assert "http:bench.localhost:127.0.0.1:8080:hush-hush\n" in (setting.ground.folder / "back.rc").read_text()


def test_egtunnel_runs_with_defaults_but_for_ports_and_folders(tmp_path: Path) -> None:
    """The command lines of the design; the token comes from a file."""
    places, contender = Places(7070, 20001, 8080, tmp_path), Egtunnel("egtunnel-tcp", tcp=True)
    assert contender.relay_options(places) == [
        *("--port", "7070", "--tcp-ports", "20001-20001", "--state", str(tmp_path / "relay")),
        *("--max-per-address", "20000", "--max-per-port", "20000", "--max-handshake-rate", "20000"),
    ]
    assert contender.client_options(places) == [
        *("--relay", "ws://localhost:7070/connect", "--state", str(tmp_path / "client")),
        *("--token-file", str(tmp_path / "relay" / "token"), "--tcp", "20001", "--local", "127.0.0.1:8080"),
    ]


def test_visitors_of_an_http_tunnel_name_its_host(tmp_path: Path) -> None:
    """They go to the relay's own port, which routes by Host; those of a TCP tunnel go to a port of its own."""
    places = Places(7070, 20001, 8080, tmp_path)
    http, tcp = (Egtunnel("x", tcp=tcp).site(places) for tcp in (False, True))
    assert (http.port, http.host_header, http.speaks_http) == (7070, "bench.localhost:7070", True)
    assert (tcp.port, tcp.speaks_http) == (20001, False)


def test_egtunnel_over_tls_differs_by_its_certificate_alone(tmp_path: Path) -> None:
    """The relay has one for its names, the client believes it and nothing else; visitors come without, or by https."""
    places = Places(7070, 20001, 8080, tmp_path)
    files = (str(places.certificate), str(places.key))
    for contender in EGTUNNELS_TLS:
        plain = next(egtunnel for egtunnel in EGTUNNELS if egtunnel.name == contender.against)
        relay = contender.relay_options(places)
        tls = ["--tls-cert", files[0], "--tls-key", files[1], "--plain-http", "serve"]
        assert relay == [*plain.relay_options(places), *tls]
        client = [option.replace("wss://", "ws://") for option in contender.client_options(places)]
        assert [option for option in client if option not in ("--ca", files[0])] == plain.client_options(places)
        assert client[client.index("--ca") + 1] == files[0]
        assert contender.site(places).url().startswith("http://")
    (https,) = EGTUNNELS_HTTPS
    assert https.site(places).url().startswith("https://localhost:7070/")
    assert https.relay_options(places)[-2:] == ["--plain-http", "redirect"]
    places.make_certificate()
    names = x509.load_pem_x509_certificate(places.certificate.read_bytes()).extensions
    found = names.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
    assert found == ["localhost", "*.localhost", "bench.localhost"]


def test_sshd_takes_one_key_and_no_password(tmp_path: Path) -> None:
    """It listens on the loopback address and reads nothing outside its folder."""
    lines = server_configuration(2222, tmp_path).splitlines()
    for line in ("ListenAddress 127.0.0.1", "PasswordAuthentication no", "UsePAM no", "Port 2222"):
        assert line in lines
    assert all(str(tmp_path) in line for line in lines if line.startswith(("HostKey", "AuthorizedKeysFile")))


def test_nginx_answers_200_bytes_and_ends_no_connection(tmp_path: Path) -> None:
    """Its own default of 1,000 requests a connection would be measured else."""
    text = nginx_configuration(8080, tmp_path, tmp_path / "large", "")
    answer = text.split('return 200 "')[1].split('"')[0]
    assert len(answer) == ANSWER_BYTES
    assert "keepalive_requests 1000000000;" in text
    assert "listen 127.0.0.1:8080 " in text


def test_a_contender_without_its_programs_is_skipped_with_the_reason() -> None:
    """Only what is found on the PATH takes part."""
    absent = Pair("absent", False, ("no-such-program",), ("no-such-program",), frp)
    contenders, skipped = able([Direct(), absent])
    assert [contender.name for contender in contenders] == ["direct"]
    assert skipped == {"absent": "no-such-program is not installed"}


def test_the_version_of_what_is_not_there_is_unknown() -> None:
    """A version is a courtesy and never an error."""
    assert Pair("absent", False, (), ("no-such-program", "-v"), frp).version() == "unknown"
