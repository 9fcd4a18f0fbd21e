"""Tests of TLS termination."""
