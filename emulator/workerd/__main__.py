"""`python -m emulator.workerd install`: fetch what the real runtime needs, once."""

from __future__ import annotations

import sys

from emulator.errors import NodeMissing
from emulator.workerd.installation import INSTALL_COMMAND, install


def main(arguments: list[str]) -> int:
    """Run the command line; the exit status is the result."""
    if arguments != ["install"]:
        sys.stderr.write(f"usage: {INSTALL_COMMAND}\n")
        return 2
    try:
        folder = install()
    except NodeMissing as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"the real runtime is installed in {folder}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
