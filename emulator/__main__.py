"""`python -m emulator`: the command line of the harness."""

from __future__ import annotations

import argparse
import sys

from emulator.conformance import command, differential_command, torture_command
from emulator.hash_seed import fix_hash_seed
from emulator.testing import replay_command


def run(arguments: list[str]) -> int:
    """Run the command line; the exit status is the result."""
    parser = argparse.ArgumentParser(
        prog="python -m emulator",
        description="A local emulator and test harness for Cloudflare Workers designs.",
        epilog="COMMAND --help tells more of each. Tests of a worker need none of them: they "
        "run in pytest. The real runtime is installed by `python -m emulator.workerd install`.",
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
    torture = commands.add_parser(
        "torture", help="run random programs here under faults, crashes and every profile"
    )
    torture_command.add_arguments(torture)
    replay = commands.add_parser(
        "replay", help="run a world that failed once more, by its token"
    )
    replay_command.add_arguments(replay)
    options = parser.parse_args(arguments)
    rooms = {
        "conform": command.run_command,
        "differential": differential_command.run_command,
        "replay": replay_command.run_command,
        "torture": torture_command.run_command,
    }
    return rooms[options.command](options)


def main() -> None:
    """The process. Sets go by a fixed hash seed, so that one seed is one run."""
    fix_hash_seed("emulator")
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
