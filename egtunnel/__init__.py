"""egtunnel: a relay and a client that give a service behind NAT a public address."""

__all__ = ["__version__"]

__version__ = "0.1.0"
