"""Ten thousand files: one ordinary large export.

Claim: under 5 s of wall time for over 200 simulated seconds, and no invocation above 1,000
subrequests.
"""

from __future__ import annotations

import io
import sys
import zipfile
from time import perf_counter  # Inside a simulation the module's own is simulated.

import emulator
from amber_worker.options import options

HEADERS = {"Authorization": "Bearer u1"}
URL = "http://localhost/api/storage"


async def export(count: int) -> dict[str, float]:
    """Export `count` files of 1 KiB; the figures of the run."""
    async with emulator.Miniflare(**options()) as mf:
        database, bucket = mf.get_d1_database("DB"), mf.get_r2_bucket("R2_BUCKET")
        await database.exec("INSERT INTO user_storage (user_id) VALUES ('u1')")
        insert = database.prepare(
            "INSERT INTO storage_files (id, user_id, r2_key, filename, mime_type, size_bytes,"
            " product, category) VALUES (?, 'u1', ?, ?, 'text/plain', 1024, 'blog', 'posts')"
        )
        statements = []
        for number in range(count):
            name = f"{number:06d}.txt"
            await bucket.put(f"u1/{name}", f"{number:08d}".encode() * 128)
            statements.append(insert.bind(name, f"u1/{name}", name))
        for start in range(0, count, 1_000):
            await database.batch(statements[start : start + 1_000])
        started_wall, started_ms = perf_counter(), mf.clock.now_ms
        posted = await mf.dispatch_fetch(
            f"{URL}/export", method="POST", json={"type": "full"}, headers=HEADERS
        )
        await mf.run_until_idle()
        wall_s = perf_counter() - started_wall
        export_url = f"{URL}/export/{posted.json()['export_id']}"
        link = (await mf.dispatch_fetch(f"{export_url}/download", headers=HEADERS)).json()
        archive = await mf.dispatch_fetch(
            "http://localhost" + link["download_url"], headers=HEADERS
        )
        with zipfile.ZipFile(io.BytesIO(archive.content)) as opened:
            assert opened.testzip() is None
            assert len(opened.namelist()) == count + 2
        records = mf.get_durable_object_namespace("EXPORT_JOBS").records()
        return {
            "wall_s": wall_s,
            "simulated_s": (mf.clock.now_ms - started_ms) / 1000,
            "subrequests_most": max(record.subrequests_most for record in records),
        }


def main() -> None:
    """Print the figures of one run."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    figures = emulator.run(export, count)
    print(
        f"{count:,} files: {figures['wall_s']:.2f} s wall, "
        f"{figures['simulated_s']:.0f} s simulated, at most "
        f"{figures['subrequests_most']:,.0f} subrequests in one invocation"
    )


if __name__ == "__main__":
    main()
