"""A worker's process: the tap of a relay, in the foreground, with the relay's own options. The supervisor starts it."""

from __future__ import annotations

import sys

from twisted.scripts.twistd import run

if __name__ == "__main__":
    sys.argv = ["egrelay worker", "-n", "--pidfile=", "egrelay", *sys.argv[1:]]
    run()
