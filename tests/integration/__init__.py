"""Tests with real processes and real sockets, on loopback or in network namespaces that the test makes itself."""
