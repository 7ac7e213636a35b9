"""The hash seed of a command line: sets of strings iterate by it.

Promises: a command runs under one fixed hash seed, so that one seed is one run. Leaves to
others: what the command does.
"""

from __future__ import annotations

import os
import sys
from typing import Final

__all__ = ["fix_hash_seed"]

_NAME: Final = "PYTHONHASHSEED"


def fix_hash_seed(module: str) -> None:
    """Start this process anew under a fixed hash seed, unless it has it.

    Args:
        module: What `python -m` runs.
    """
    if os.environ.get(_NAME) == "0" or sys.gettrace() is not None:
        return  # A debugger would lose the new process.
    environment = {**os.environ, _NAME: "0"}
    words = [sys.executable, "-m", module, *sys.argv[1:]]
    if os.name == "nt":
        import subprocess

        sys.exit(subprocess.run(words, env=environment, check=False).returncode)
    os.execve(sys.executable, words, environment)
