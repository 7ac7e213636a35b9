"""The archive step: the files that one alarm copies into the archive.

Promises: each file under a path of its own; one that cannot be read is missing, with the
reason, and nothing more. Leaves to others: keeping what the step did (export_job).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, final

from amber_worker.allowance import read
from amber_worker.export_state import WrittenFile, missing_file
from amber_worker.zip_names import entry_path, family, fingerprint, numbered
from amber_worker.zip_stream import BrokenSource

if TYPE_CHECKING:
    from amber_worker.allowance import Allowance
    from amber_worker.export_state import ExportStore, MissingFile, ProcessedFile
    from amber_worker.zip_stream import ZipEntry, ZipStreamer

__all__ = ["ArchiveStep"]

_log = logging.getLogger("amber")


@final
class ArchiveStep:
    """What one alarm adds to the archive.

    Args:
        bucket: Where the files are.
        store: Knows which paths are taken.
        streamer: The archive.
        allowance: What the alarm may do.
    """

    def __init__(
        self, bucket: Any, store: ExportStore, streamer: ZipStreamer, allowance: Allowance
    ) -> None:
        self._bucket = bucket
        self._store = store
        self._streamer = streamer
        self._allowance = allowance
        self.written: list[WrittenFile] = []
        self.missing: list[MissingFile] = []
        #: What to keep for fingerprints of paths and families.
        self.names: dict[str, int] = {}
        #: Real sizes of the files written.
        self.size_bytes = 0

    def may_copy(self, file: ProcessedFile) -> bool:
        """Whether this alarm takes one more file."""
        return self._allowance.may_copy(
            file["size_bytes"],
            file_count=len(self.written) + len(self.missing),
            deflated_bytes=self._streamer.deflated_bytes,
        )

    async def copy(self, file: ProcessedFile) -> None:
        """Copy one file; one that cannot be read is missing, and nothing more."""
        path, names = await self._free_path(file)
        try:
            entry = await self._copied(file, path)
        except BrokenSource as error:
            reason = f"unreadable: {error.reason}"
            _log.warning("file %r could not be copied: %s", file["r2_key"], error.reason)
            self.missing.append(missing_file(file, reason))
            return
        if entry is None:
            _log.warning("file %r is gone since it was checked, skipped", file["r2_key"])
            self.missing.append(missing_file(file, "not found"))
            return
        self.names.update(names)
        self.size_bytes += entry.size_bytes
        self.written.append(WrittenFile(file, entry))

    async def _copied(self, file: ProcessedFile, path: str) -> ZipEntry | None:
        async def copy() -> ZipEntry | None:
            found = await read(self._bucket.get(file["r2_key"]))
            if found is None:
                return None
            return await self._streamer.add_file(
                path, found.body, found.size, modified=found.uploaded
            )

        return await self._allowance.insistently(copy)

    async def _free_path(self, file: ProcessedFile) -> tuple[str, dict[str, int]]:
        """A path that no other file has, and what to remember once the file is there."""
        wanted = entry_path(file["product"], file["category"], file["filename"])
        mark = fingerprint(wanted)
        if not await self._number_of(mark):
            return wanted, {mark: 1}
        # From the last number on, so that a thousand files of one name cost a thousand tries.
        kin = fingerprint(family(wanted))
        number = await self._number_of(kin) or 1
        while True:
            number += 1
            path = numbered(wanted, number)
            mark = fingerprint(path)
            if not await self._number_of(mark):
                return path, {kin: number, mark: 1}

    async def _number_of(self, mark: str) -> int:
        return self.names.get(mark) or await self._store.name_number(mark)
