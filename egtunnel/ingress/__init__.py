"""Public listeners: each turns connections into visitors and finds their tunnel."""
