"""The HTTP ingress, in memory: every byte of both sides and the clock belong to the test."""
