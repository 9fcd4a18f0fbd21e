"""The front door: one listener for everything; the first bytes of a connection decide what becomes of it."""
