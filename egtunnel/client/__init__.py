"""The client: one outbound connection to a relay, and the local services it gives a public address."""
