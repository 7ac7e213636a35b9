"""The ZIP stream against what it cannot do without: zlib at level 6 and a CRC-32.

Claim: at least 0.9 of their throughput over the same bytes, in chunks of 64 KiB, for text,
random bytes and zeros. Rounds take turns, the best of each counts.

    python benchmarks/zip_stream.py [--mib 32] [--rounds 5]
"""

from __future__ import annotations

import argparse
import random
import zlib
from time import perf_counter  # Inside a simulation the module's own is simulated.

import emulator
from amber_worker.zip_stream import ZipStreamer
from emulator.web.streams import ReadableStream

CHUNK_BYTES = 64 * 1024
WORDS = ("amber", "forest", "garden", "lantern", "river", "stone", "export", "alarm", "moss")


def samples(size_bytes: int) -> dict[str, bytes]:
    """The bytes of each kind."""
    chance = random.Random(0)
    words = " ".join(chance.choice(WORDS) for _ in range(CHUNK_BYTES))
    text = words.encode()[:CHUNK_BYTES]
    return {
        "text": text * (size_bytes // CHUNK_BYTES),
        "random": chance.randbytes(size_bytes),
        "zeros": bytes(size_bytes),
    }


def plain_s(chunks: list[bytes]) -> float:
    """Seconds of zlib and CRC-32 alone."""
    start = perf_counter()
    compressor, crc = zlib.compressobj(6, zlib.DEFLATED, -15), 0
    for chunk in chunks:
        crc = zlib.crc32(chunk, crc)
        compressor.compress(chunk)
    compressor.flush()
    return perf_counter() - start


async def streamed_s(chunks: list[bytes]) -> float:
    """Seconds of one entry from a stream into a sink that forgets it."""
    waiting = iter(chunks)

    async def pull() -> bytes | None:
        return next(waiting, None)

    async def forget(piece: bytes) -> None:
        pass

    size_bytes = sum(map(len, chunks))
    source = ReadableStream.from_source(pull, known_length=size_bytes)
    start = perf_counter()
    await ZipStreamer(forget).add_file("file", source, size_bytes)
    return perf_counter() - start


def main() -> None:
    """Print one line for each kind of bytes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    for name, content in samples(given.mib << 20).items():
        chunks = [
            content[start : start + CHUNK_BYTES]
            for start in range(0, len(content), CHUNK_BYTES)
        ]
        plain, ours = [], []
        for _ in range(given.rounds):
            plain.append(plain_s(chunks))
            ours.append(emulator.run(streamed_s, chunks))
        rate = given.mib / min(ours)
        print(f"{name:<8}{rate:>8.0f} MiB/s, {min(plain) / min(ours):.2f} of zlib and crc32")


if __name__ == "__main__":
    main()
