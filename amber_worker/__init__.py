"""Amber worker: a faithful port of Amber's ExportJob and the HTTP API around it.

Rooms: `worker` (routes), `auth`, `export_job` (the Durable Object), `export_state` (what it
keeps), `export_row` (what D1 is told), `file_rows` (which files), `allowance` (what one alarm
may do), `archive_step` (what one alarm copies), `archive_upload` (parts), `zip_stream`,
`zip_names`, `manifest`, `options` (what `emulator.Miniflare` needs), `contract` (what every
such worker answers), `laws` (what is true of any export, whatever goes wrong), `chaos` (exports
in which it does) and `cli` (`amber export`, `amber contract`, `amber chaos`).

    async with emulator.Miniflare(**amber_worker.options()) as mf: ...

Amber's README and its worker differ in places. This port follows the README for behaviour and
the worker for names on the wire:

===================== ======================== ======================== =================
topic                 README                   worker                   here
===================== ======================== ======================== =================
binding of the object EXPORT_JOB               EXPORT_JOBS              by dialect [1]_
answer to POST        202, exportId,           export_id, "pending"     by dialect [1]_
                      "processing"
first two entries     manifest.json,           README.txt,              the worker's [2]_
                      README.txt               manifest.json
compression           6                        6, later 0               6
a chunk ends at       100 files or 50 MB,      100 rows; 50 MB against  the README's
                      whichever first          the running total
completion time       written                  stays null               written
size_bytes,           not mentioned            null, later written      written, true
file_count
custom metadata       four keys                also export-type         all five [3]_
a file that fails     left out, the export     the whole export fails   the README's
while it is copied    completes
error_message         error details            the message, later       kind and message
                                               with its kind
state                 one JSON value           one value, later tables  a header and pages
kept for              not mentioned            7 days                   7 days
a second export       not mentioned            409                      409
names of methods      startExport              startExport              start_export, and
                                                                        startExport
===================== ======================== ======================== =================

.. [1] `options(dialect="worker")`, the default, or `options(dialect="readme")`.
.. [2] First in the directory, which is what tools show. In the file they come last, so that
   they tell what is really there.
.. [3] R2 fixes metadata when an upload begins: the counts are those of that moment. The row
   and the manifest have the final ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from amber_worker.options import options

__all__ = ["options"]


def __getattr__(name: str) -> Any:
    if name == "options":
        import importlib

        return importlib.import_module("amber_worker.options")
    message = f"module 'amber_worker' has no attribute {name!r}"
    raise AttributeError(message)
