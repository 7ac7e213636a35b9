"""The command line: `amber`.

Promises: exit status 0 when the export completed (missing files are named, and no
failure), 1 when it failed, 2 when the command cannot be meant, 130 after Ctrl-C; one seed
gives one trace. Leaves to others: which files (`folder`), the export itself (`exporting`),
what is shown (`report`), the contract (`judging`), and exports in trouble (`chaos`).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, Final

from amber_worker.cli import chaos, judging
from amber_worker.cli.counts import whole_count
from amber_worker.cli.folder import PRODUCTS, FolderError, scan, shown
from emulator.hash_seed import fix_hash_seed

__all__ = ["main", "run_command"]

#: Keys begin with it, and have at most 1,024 bytes.
USER_BYTES_MAX: Final = 256

_EPILOG: Final = """\
Each file becomes an R2 object and a D1 row. Its product is the first folder level, if that
is blog, ivy, profile or themes; its category is the next level. A file under another folder
belongs to --product (blog unless given), with that folder as its category; a file without a
folder for its category is "uncategorized". Deeper folders do not show in the archive; files
that would meet there are numbered. Symbolic links, sockets and the like are skipped with a
warning.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="amber", description="Amber's export worker, run locally under simulated time."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    _declare_export(commands)
    judging.declare(
        commands.add_parser(
            "contract",
            allow_abbrev=False,  # Pytest knows no shortened options.
            help="judge a worker by the contract of Amber's exports",
            description="Judge a worker by the contract of Amber's exports: each law is kept, "
            "broken with the evidence, or not applicable with the reason.",
        )
    )
    chaos.declare(
        commands.add_parser(
            "chaos",
            help="explore exports under faults, crashes and other orders",
            description="Explore exports under faults, crashes and other orders, and judge "
            "each by the laws of an export.",
        )
    )
    return parser


def _declare_export(commands: Any) -> None:
    export = commands.add_parser(
        "export",
        help="export a folder through the worker, and write the ZIP",
        description="Export a folder through the worker: R2, D1, POST, alarms, download.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    export.add_argument("folder", metavar="DIR", type=_path, help="the folder to export")
    export.add_argument(
        "--out", metavar="FILE.zip", type=_path, required=True, help="where the archive goes"
    )
    export.add_argument(
        "--type",
        dest="export_type",
        choices=("full", "blog", "ivy", "category"),
        default="full",
        help="which files: all, one product's, or one category's (default: full)",
    )
    export.add_argument("--category", metavar="NAME", help="the category of --type category")
    export.add_argument("--user", metavar="ID", default="u1", help="whose files (default: u1)")
    export.add_argument(
        "--product",
        choices=PRODUCTS,
        default="blog",
        help="product of files whose first folder names none (default: blog)",
    )
    export.add_argument(
        "--missing",
        metavar="N",
        type=whole_count,
        default=0,
        help="delete N objects from R2 after their rows are written (default: 0)",
    )
    export.add_argument(
        "--seed",
        metavar="N",
        type=int,
        default=0,
        help="decides everything random (default: 0)",
    )
    export.add_argument(
        "--json", dest="as_json", action="store_true", help="print one JSON object, no table"
    )


def _path(text: str) -> Path:
    if not text:
        # `Path("")` is the current folder, which nobody means who passes an empty variable.
        message = "must not be empty"
        raise argparse.ArgumentTypeError(message)
    return Path(text)


def run_command(argv: list[str]) -> int:
    """Run one command.

    Args:
        argv: The arguments, without the program's name.

    Returns:
        The exit status.
    """
    parser = _parser()
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as stop:
        return int(stop.code or 0)
    try:
        if arguments.command == "contract":
            return judging.run_contract(arguments, argv[argv.index("contract") + 1 :])
        if arguments.command == "chaos":
            return chaos.run_chaos(arguments)
        return _export(arguments)
    except (FolderError, OSError) as error:
        sys.stderr.write(f"amber: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("amber: interrupted\n")
        return 130


def _export(arguments: argparse.Namespace) -> int:
    if (arguments.export_type == "category") != (arguments.category is not None):
        message = "--type category and --category NAME belong together"
        raise FolderError(message)
    _check_user(arguments.user)
    out = _place(arguments.out)
    found = scan(arguments.folder, product=arguments.product, out=out)
    if arguments.missing > len(found.files):
        message = f"--missing {arguments.missing}: there are only {len(found.files)} files"
        raise FolderError(message)
    # The export and its report cost a tenth of a second to import; bad input need not wait.
    from amber_worker.cli.exporting import ExportPlan, run_export
    from amber_worker.cli.report import Report

    plan = ExportPlan(
        files=found.files,
        out=out,
        user=arguments.user,
        export_type=arguments.export_type,
        category=arguments.category,
        missing_count=arguments.missing,
        seed=arguments.seed,
    )
    report = Report(as_json=arguments.as_json)
    report.skipped(found.skipped)
    with report:
        outcome = run_export(plan, report)
    return report.close(outcome)


def _place(out: Path) -> Path:
    """Where the archive goes: behind a link, so that the link stays one."""
    reason = "its folder does not exist, or it is no file"
    try:
        place = out.resolve()
        if place.parent.is_dir() and (place.is_file() or not place.exists()):
            return place
    except OSError as error:
        reason = str(error.strerror)
    message = f"cannot write {shown(out)}: {reason}"
    raise FolderError(message)


def _check_user(user: str) -> None:
    """Refuse what is no folder in a key, or is changed on its way in a header or a URL."""
    is_plain = user.isprintable() and user == user.strip() and "/" not in user
    if not is_plain or user in ("", ".", "..") or len(user.encode()) > USER_BYTES_MAX:
        limit = f"of at most {USER_BYTES_MAX} bytes"
        message = f"--user must be a name without slashes, {limit}, not {user[:300]!r}"
        raise FolderError(message)


def main() -> None:
    """The console script. Sets go by a fixed hash seed, so that one seed is one run."""
    fix_hash_seed("amber_worker.cli")
    sys.exit(run_command(sys.argv[1:]))
