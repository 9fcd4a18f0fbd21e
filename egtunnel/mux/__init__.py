"""The protocol core: bytes of frames in, events out; no Twisted, no clock, no socket."""
