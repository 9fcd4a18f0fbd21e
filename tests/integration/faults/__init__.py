"""Proof by fault: every kind of traffic through real daemons while links, networks and processes fail under it."""
