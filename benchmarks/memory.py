"""Memory: what an export holds while gigabytes pass through it.

Claim: worker memory, which is all that is not the R2 store, stays within 64 MiB of where it
started, whatever the size: a curve over 0.25, 0.5, 1 and 2 GiB in files of 1 MiB, and one
single file of 1 GiB. R2's bytes lie in one spool file a bucket, so that resident memory is
what is measured. Each size runs in a fresh process, with at most 256 open files.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from time import perf_counter  # Inside a simulation the module's own is simulated.

MIB = 1 << 20
SIZES_MIB = (256, 512, 1024, 2048)


def resident_bytes() -> int:
    """What this process holds in memory now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def measure(size_mib: int, file_mib: int) -> None:
    """Export `size_mib` in files of `file_mib`, and print the peak above the start."""
    import resource

    import emulator
    from amber_worker.options import options
    from emulator.web.streams import ReadableStream

    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    block = os.urandom(64 * 1024)
    peak = 0
    is_over = False

    def watch() -> None:
        nonlocal peak
        while not is_over:
            peak = max(peak, resident_bytes())
            time.sleep(0.01)

    async def export() -> tuple[int, float]:
        nonlocal is_over
        async with emulator.Miniflare(**options()) as mf:
            database, bucket = mf.get_d1_database("DB"), mf.get_r2_bucket("R2_BUCKET")
            await database.exec("INSERT INTO user_storage (user_id) VALUES ('u1')")
            for number in range(size_mib // file_mib):
                left = file_mib * MIB // len(block)

                async def pull() -> bytes | None:
                    nonlocal left
                    left -= 1
                    return block if left >= 0 else None

                body = ReadableStream.from_source(pull, known_length=file_mib * MIB)
                await bucket.put(f"u1/{number}", body)
                await (
                    database.prepare(
                        "INSERT INTO storage_files (id, user_id, r2_key, filename, mime_type,"
                        " size_bytes, product, category)"
                        " VALUES (?1, 'u1', 'u1/' || ?1, ?1, 'x/y', ?2, 'blog', 'posts')"
                    )
                    .bind(str(number), file_mib * MIB)
                    .run()
                )
            start = resident_bytes()
            started = perf_counter()
            posted = await mf.dispatch_fetch(
                "http://localhost/api/storage/export",
                method="POST",
                json={"type": "full"},
                headers={"Authorization": "Bearer u1"},
            )
            assert posted.status_code == 202
            await mf.run_until_idle()
            export_id = posted.json()["export_id"]
            row = await database.prepare("SELECT * FROM storage_exports").first()
            assert row.status == "completed", (export_id, row)
            assert row.size_bytes > size_mib * MIB
            return start, perf_counter() - started

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    start, wall_s = emulator.run(export)
    is_over = True
    watcher.join()
    print(
        f"{size_mib:5d} MiB in files of {file_mib:4d} MiB: peak "
        f"{(peak - start) / MIB:5.1f} MiB above the start, {wall_s:.0f} s wall"
    )


def main() -> None:
    """Print the curve."""
    if len(sys.argv) == 3:
        measure(int(sys.argv[1]), int(sys.argv[2]))
        return
    for size_mib, file_mib in [*((size, 1) for size in SIZES_MIB), (1024, 1024)]:
        command = [sys.executable, __file__, str(size_mib), str(file_mib)]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
