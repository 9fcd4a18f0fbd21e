"""The front door in memory: every byte and the clock belong to the test."""
