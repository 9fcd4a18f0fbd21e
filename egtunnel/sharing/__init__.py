"""Shares at work: links that let in who has them, for a time, for some services."""
