"""What can go wrong in a measurement; one tree, apart from egtunnel's own."""

from __future__ import annotations

__all__ = ["BenchError", "DidNotStart", "MissingProgram", "WorkFailed"]


class BenchError(Exception):
    """The root of every error of the benchmark; its text is fit to be shown to a person."""


class MissingProgram(BenchError):
    """A program that is needed is not on the PATH."""


class DidNotStart(BenchError):
    """A program was started but did not serve in time, or ended by itself."""


class WorkFailed(BenchError):
    """A piece of work did not come to a figure that can be believed."""
