"""The Twisted shell of the mux: control messages, sessions over links, channels as Twisted transports and endpoints."""
