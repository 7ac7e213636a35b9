"""The report: what the command shows.

Promises: progress goes to the error stream and only to a terminal; the table and the one
closing line, or the one JSON object, go to the output. Leaves to others: what happened.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Self, final

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

if TYPE_CHECKING:
    from amber_worker.cli.exporting import ExportOutcome

__all__ = ["Report", "printable"]


@final
class Report:
    """Shows one export.

    Args:
        as_json: One JSON object instead of a table.
    """

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._errors = Console(stderr=True)
        self._output = Console()
        # No thread may refresh it: it is drawn when there is something to tell.
        options: dict[str, Any] = {
            "console": self._errors,
            "auto_refresh": False,
            "transient": True,
            "disable": as_json or not self._errors.is_terminal,
        }
        self._bars = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), **options
        )
        self._stream = Progress(
            TextColumn("{task.description}"), BarColumn(), DownloadColumn(), **options
        )
        self._loading = self._bars.add_task("loading files", total=None)
        self._streaming = self._stream.add_task("writing the ZIP", total=None)
        self._drawn_bytes = 0
        self._drawn_percent = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._bars.stop()
        self._stream.stop()

    def skipped(self, lines: tuple[str, ...]) -> None:
        """Name what is not exported."""
        for line in lines:
            sys.stderr.write(f"amber: warning: {printable(line)}\n")

    def loading(self, done: int, total: int) -> None:
        """So many of the files are loaded."""
        percent = done * 100 // total
        if done != total and percent == self._drawn_percent:
            return
        self._drawn_percent = percent
        self._bars.start()
        self._bars.update(self._loading, completed=done, total=total, refresh=True)
        if done == total:
            self._bars.stop()

    def streaming(self, done: int, total: int | None) -> None:
        """So many bytes of the archive are written."""
        if done != total and done - self._drawn_bytes < 1 << 20:
            return
        self._drawn_bytes = done
        self._stream.start()
        self._stream.update(self._streaming, completed=done, total=total, refresh=True)

    def close(self, outcome: ExportOutcome) -> int:
        """Print the result.

        Returns:
            The exit status: 0 if the export completed, 1 if not.
        """
        if self._as_json:
            facts = {
                **asdict(outcome),
                "out": str(outcome.out),
                "missing": list(outcome.missing),
            }
            sys.stdout.write(json.dumps(facts, ensure_ascii=True, indent=2) + "\n")
        else:
            self._print(outcome)
        return 0 if outcome.status == "completed" else 1

    def _print(self, outcome: ExportOutcome) -> None:
        table = Table(title="Alarms", title_justify="left")
        table.add_column("simulated time", justify="right")
        table.add_column("step")
        for name in ("rows", "bytes", "missing", "wall time"):
            table.add_column(name, justify="right")
        for row in outcome.alarms:
            table.add_row(
                f"{row.time_ms / 1_000:.3f} s",
                row.step,
                f"{row.rows:,}",
                f"{row.size_bytes:,}",
                f"{row.missing:,}",
                f"{row.wall_ms:.1f} ms",
            )
        self._output.print(table)
        for line in outcome.missing:
            told = f"missing: {printable(line)}"
            self._output.print(told, markup=False, highlight=False, soft_wrap=True)
        if outcome.status != "completed":
            told = printable(f"the export {outcome.status}: {outcome.error}")
            self._output.print(told, markup=False, highlight=False, soft_wrap=True)
        self._output.print(
            f"{outcome.file_count:,} files, {outcome.size_bytes:,} bytes, "
            f"{len(outcome.missing):,} missing, {outcome.simulated_ms / 1_000:.3f} s "
            f"simulated, {outcome.wall_ms:.0f} ms wall, trace {outcome.digest[:16]}",
            highlight=False,
            soft_wrap=True,
        )


def printable(line: str) -> str:
    """A line that commands no terminal: files have names of any kind."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
