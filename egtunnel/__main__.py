"""``python -m egtunnel`` is the command ``egtunnel``."""

import sys

from egtunnel.command.main import main

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(main())
