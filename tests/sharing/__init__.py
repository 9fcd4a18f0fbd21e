"""Shares, without a relay."""
