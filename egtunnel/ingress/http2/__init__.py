"""HTTP/2: visitors who speak it, and upstreams that do."""
