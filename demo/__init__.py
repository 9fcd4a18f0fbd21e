"""A small site, a relay and a client on one machine: the shortest way to see a tunnel at work."""
