"""The relay: lets clients in, keeps the table of public names, and listens for visitors."""
