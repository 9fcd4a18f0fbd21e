"""A look at the clock that comes late means that we were asleep."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from twisted.internet.task import Clock

from egtunnel.client.sleep import Sleep


def test_a_late_look_is_noticed_and_a_timely_one_is_not() -> None:
    """By a clock that goes on while the machine is suspended, which Twisted's does not."""
    clock, wall = Clock(), [0.0]
    woke: list[float] = []
    sleep = Sleep(clock, woke.append, lambda: wall[0])
    sleep.start()
    for passed in (1.0, 1.4, 6.0, 1.0):
        wall[0] += passed
        clock.advance(1)
    assert woke == []
    wall[0] += 61.0
    clock.advance(1)
    assert [round(seconds) for seconds in woke] == [60]
    sleep.stop()
    sleep.stop()
    assert clock.getDelayedCalls() == []


PROGRAM = """
from twisted.internet import reactor
from egtunnel.client.sleep import Sleep
def woke(seconds):
    print("woke", flush=True)
    reactor.stop()
sleep = Sleep(reactor, woke)
sleep.start()
print("awake", flush=True)
reactor.run()
"""


def test_a_process_that_was_stopped_notices() -> None:
    """SIGSTOP and SIGCONT, as a laptop's lid does to all processes at once."""
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "awake\n"
    os.kill(process.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
    subprocess.run(["sleep", "7.5"], check=True)
    os.kill(process.pid, signal.SIGCONT)
    assert process.stdout.readline() == "woke\n"
    assert process.wait(20) == 0
