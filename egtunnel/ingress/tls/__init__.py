"""TLS for visitors and clients: certificates by name, and the connections on which it ends."""
