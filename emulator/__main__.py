"""`python -m emulator`: the command line of the harness."""

from __future__ import annotations

import argparse
import sys

from emulator.conformance import command, differential_command
from emulator.hash_seed import fix_hash_seed


def run(arguments: list[str]) -> int:
    """Run the command line; the exit status is the result."""
    parser = argparse.ArgumentParser(
        prog="python -m emulator",
        description="A local emulator and test harness for Cloudflare Workers designs.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    conform = commands.add_parser(
        "conform", help="run conformance programs here or on workerd, and compare the two"
    )
    command.add_arguments(conform)
    differential = commands.add_parser(
        "differential", help="run random programs here and on workerd, and compare the two"
    )
    differential_command.add_arguments(differential)
    options = parser.parse_args(arguments)
    if options.command == "differential":
        return differential_command.run_command(options)
    return command.run_command(options)


def main() -> None:
    """The process. Sets go by a fixed hash seed, so that one seed is one run."""
    fix_hash_seed("emulator")
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
