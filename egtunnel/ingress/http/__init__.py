"""The HTTP ingress: visitors over HTTP/1.0 and 1.1, routed by Host or path to a tunnel, one exchange at a time."""
