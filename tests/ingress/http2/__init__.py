"""HTTP/2 of visitors and to services, in memory."""
