"""One relay as several processes: a supervisor that knows all names, and workers that share its ports."""
