"""Judging: `amber contract`, which is pytest on the contract.

Promises: exit status 0 when every law is kept, 1 when one is broken or could not be tested, 2
when the command cannot be meant; the settings of the project that one stands in do not
matter. Leaves to others: the laws (amber_worker.contract).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from amber_worker.contract.command_line import add_options

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

__all__ = ["declare", "run_contract"]

_SETTINGS: Final = Path(__file__).parents[1] / "contract" / "contract.ini"
_STATUS: Final = {0: 0, 1: 1, 2: 130}


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "--emulator-target",
        metavar="TARGET",
        default="emulator",
        help="who is judged: our worker on the emulator (default) or on workerd, or the URL of "
        "a deployed worker",
    )
    add_options(parser.add_argument)
    parser.add_argument(
        "-k", metavar="EXPRESSION", help="only laws whose names match, as pytest has it"
    )
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="one line for each law, and tracebacks"
    )


def run_contract(arguments: argparse.Namespace, given: Sequence[str]) -> int:
    """Run the contract.

    Args:
        arguments: What argparse has made of the command's arguments.
        given: These arguments themselves, which pytest reads in the same way.

    Returns:
        The exit status.
    """
    import pytest

    options = ["--no-header", "--disable-warnings", "-rN", "-p", "no:cacheprovider"]
    # The command has imported this package before pytest could rewrite its assertions, and
    # none of those is in a module of the contract.
    options += ["-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning"]
    if not arguments.verbose:
        options += ["-q", "--tb=no"]
    status = pytest.main(
        [
            *("-c", str(_SETTINGS), "--pyargs", "amber_worker.contract"),
            # By their names, so that they are there where plugins do not load themselves.
            *("-p", "emulator", "-p", "amber-contract"),
            *("-p", "no:randomly", "-p", "no:asyncio"),
            *options,
            *given,
        ]
    )
    return _STATUS.get(int(status), 2)
