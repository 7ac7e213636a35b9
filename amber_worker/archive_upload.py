"""The archive's upload: pieces of any size in, equal parts out.

Promises: R2's rules for parts, all of one size of at least 5 MiB except the last; never more
than one part in memory; what has not filled a part yet can be kept and taken up again.
Leaves to others: what the bytes are (zip_stream), keeping the rest (export_state).
"""

from __future__ import annotations

from typing import Any, Final, final

__all__ = ["ArchiveUpload", "part_bytes_for"]

#: The smallest part that R2 takes, and the most parts of one object (Cloudflare docs, R2,
#: Limits).
PART_BYTES_MIN: Final = 5 * 1024 * 1024
PARTS_MAX: Final = 10_000


def part_bytes_for(size_bytes: int) -> int:
    """The size of all parts but the last, for an archive of about that size.

    Args:
        size_bytes: What is known before the archive is written: the sum of the files' sizes.
            Half of the number of parts is kept in reserve for what grows meanwhile, and for
            attempts that break.
    """
    return max(PART_BYTES_MIN, -(-size_bytes // (PARTS_MAX // 2)))


@final
class ArchiveUpload:
    """A multipart upload that is fed piece by piece.

    Args:
        upload: R2's handle.
        part_bytes: The size of all parts but the last.
        etags: Of the parts that are already there, in order.
        rest: Bytes behind them that did not fill a part.
    """

    def __init__(self, upload: Any, part_bytes: int, etags: list[str], rest: bytes) -> None:
        self._upload = upload
        self._part_bytes = part_bytes
        #: Of the parts so far, in order.
        self.etags = etags
        # Pieces, joined once a part: a growing buffer leaves holes in the heap as large as
        # itself.
        self._pieces = [rest] if rest else []
        self._size_bytes = len(rest)

    @property
    def rest(self) -> bytes:
        """Bytes that have not filled a part yet."""
        return b"".join(self._pieces)

    async def write(self, piece: bytes) -> None:
        """Take one piece; it waits while a part that it fills is uploaded."""
        while self._size_bytes + len(piece) >= self._part_bytes:
            room = self._part_bytes - self._size_bytes
            self._pieces.append(piece[:room])
            piece = piece[room:]
            await self._send()
        if piece:
            self._pieces.append(piece)
            self._size_bytes += len(piece)

    async def flush(self) -> None:
        """Upload what is left as the last part; an upload has at least one."""
        if self._pieces or not self.etags:
            await self._send()

    async def _send(self) -> None:
        part = self.rest
        self._pieces.clear()
        self._size_bytes = 0
        # The number comes from what is kept, so that an interrupted step replaces its parts.
        uploaded = await self._upload.uploadPart(len(self.etags) + 1, part)
        self.etags.append(uploaded.etag)

    def __repr__(self) -> str:
        return f"<ArchiveUpload {len(self.etags)} parts, {self._size_bytes} bytes left>"
