"""The REST API of a relay: what its owner may see and change, under /api/v1 of its own host."""
