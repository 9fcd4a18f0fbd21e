"""The samples of ``etc/`` for nginx and haproxy, moved to ports, names and folders of a test, else unchanged."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.client.certificates import Authority

__all__ = ["ETC", "certificate", "haproxy_cfg", "haproxy_tcp_cfg", "moved", "nginx_conf"]

ETC = Path(__file__).resolve().parents[1] / "etc"
NGINX = """
daemon off; pid {folder}/nginx.pid; error_log stderr warn; {user}
events {{ worker_connections 1024; }}
http {{
  access_log off; client_body_temp_path {folder}/tmp; proxy_temp_path {folder}/tmp; fastcgi_temp_path {folder}/tmp;
  uwsgi_temp_path {folder}/tmp; scgi_temp_path {folder}/tmp;
  include {folder}/egtunnel.conf;
}}
"""


def moved(text: str, changes: dict[str, str]) -> str:
    """``text`` with each key replaced by its value; a key that is not there is a sample that changed."""
    for old, new in changes.items():
        assert old in text, f"the sample no longer holds {old!r}"
        text = text.replace(old, new)
    return text


def certificate(authority: Authority, folder: Path, *hosts: str) -> dict[str, Path]:
    """Files for a server that may call itself these hosts: ``chain``, ``key``, and ``both`` as haproxy wants it."""
    options: Any = authority.server(*hosts)
    parts = {
        "chain": options.certificate.to_cryptography().public_bytes(Encoding.PEM),
        "key": options.privateKey.to_cryptography_key().private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        ),
    }
    parts["both"] = parts["chain"] + parts["key"]
    files = {name: folder / f"{name}.pem" for name in parts}
    for name, content in parts.items():
        files[name].write_bytes(content)
    return files


def nginx_conf(
    folder: Path, pem: dict[str, Path], *, domain: str = "example.com", plain: int, secure: int, relay: int = 7070
) -> Path:
    """A whole configuration that includes ``etc/nginx.conf`` as a distribution's nginx.conf would."""
    live = "/etc/letsencrypt/live/example.com"
    text = moved(
        (ETC / "nginx.conf").read_text(),
        {
            f"{live}/fullchain.pem": str(pem["chain"]),
            f"{live}/privkey.pem": str(pem["key"]),
            "listen 80;": f"listen 127.0.0.1:{plain};",
            "listen [::]:80;": f"listen [::1]:{plain};",
            "listen 443 ssl": f"listen 127.0.0.1:{secure} ssl",
            "listen [::]:443 ssl": f"listen [::1]:{secure} ssl",
            "127.0.0.1:7070": f"127.0.0.1:{relay}",
            "server_name example.com *.example.com": f"server_name {domain} *.{domain}",
        },
    )
    if not _has_ipv6():
        text = "\n".join(line for line in text.splitlines() if "[::1]" not in line)
    (folder / "egtunnel.conf").write_text(text)
    (folder / "tmp").mkdir()
    main = folder / "nginx.conf"
    main.write_text(NGINX.format(folder=folder, user="user root;" if os.geteuid() == 0 else ""))
    return main


def haproxy_cfg(folder: Path, pem: dict[str, Path], *, plain: int, secure: int, relay: int = 7070) -> Path:
    """``etc/haproxy.cfg`` on ports of loopback."""
    text = moved(
        (ETC / "haproxy.cfg").read_text(),
        {
            "/etc/haproxy/certs/example.com.pem": str(pem["both"]),
            "bind :80": f"bind 127.0.0.1:{plain}",
            "bind :443": f"bind 127.0.0.1:{secure}",
            "127.0.0.1:7070": f"127.0.0.1:{relay}",
            "maxconn 20000": "maxconn 1000",  # a test must not need many descriptors
        },
    )
    file = folder / "haproxy.cfg"
    file.write_text(text)
    return file


def haproxy_tcp_cfg(folder: Path, *, plain: int, secure: int, relay: int = 7070) -> Path:
    """``etc/haproxy-tcp.cfg`` on ports of loopback."""
    text = moved(
        (ETC / "haproxy-tcp.cfg").read_text(),
        {
            "bind :80": f"bind 127.0.0.1:{plain}",
            "bind :443": f"bind 127.0.0.1:{secure}",
            "server egrelay 127.0.0.1:7070": f"server egrelay 127.0.0.1:{relay}",
            "maxconn 20000": "maxconn 1000",
        },
    )
    file = folder / "haproxy-tcp.cfg"
    file.write_text(text)
    return file


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True
