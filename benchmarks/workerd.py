"""Two runtimes side by side: the same export in Python here and in TypeScript on workerd.

Prints, for both: lifecycles a second (three files, the POST, every alarm, the archive
downloaded and tested) and the start of a world. The worker on workerd has its alarms as
short as the platform allows (`ALARM_DELAY_MS` is 0), and its world is made once and kept,
since that is its fastest; ours has the alarms of the contract, and a fresh world for each
lifecycle. One export at a time, and for workerd also eight at once, since it waits for others
most of the time; it is asked for the status every 2 ms.

Needs Node and `make setup`.

    python benchmarks/workerd.py [--count 60]
"""

from __future__ import annotations

import argparse
import asyncio
import io
import zipfile
from time import perf_counter  # Inside a simulation the module's own is simulated.
from typing import Any, NamedTuple

import emulator
from amber_worker.options import options
from emulator.workerd import Miniflare as RealMiniflare
from emulator.workerd.driver import node_folder

FILES = {"a.txt": b"alpha" * 20, "b.txt": b"beta" * 300, "c.bin": bytes(range(256)) * 8}
POLL_S = 0.002
CROWD = 8
URL = "http://localhost/api/storage"


async def lifecycle(mf: Any, user: str) -> None:
    """One export of three files, checked."""
    database, bucket = mf.get_d1_database("DB"), mf.get_r2_bucket("R2_BUCKET")
    statements = [database.prepare("INSERT INTO user_storage (user_id) VALUES (?)").bind(user)]
    insert = database.prepare(
        "INSERT INTO storage_files (id, user_id, r2_key, filename, mime_type, size_bytes,"
        " product, category) VALUES (?, ?, ?, ?, 'text/plain', ?, 'blog', 'posts')"
    )
    for name, content in FILES.items():
        key = f"{user}/{name}"
        await bucket.put(key, content)
        statements.append(insert.bind(key, user, key, name, len(content)))
    await database.batch(statements)
    headers = {"Authorization": f"Bearer {user}"}
    posted = await mf.dispatch_fetch(
        f"{URL}/export", method="POST", json={"type": "full"}, headers=headers
    )
    export = f"{URL}/export/{posted.json()['export_id']}"
    while True:
        row = (await mf.dispatch_fetch(export, headers=headers)).json()
        if row["status"] == "completed":
            break
        assert row["status"] != "failed", row
        await asyncio.sleep(POLL_S if isinstance(mf, RealMiniflare) else 0.5)
    link = (await mf.dispatch_fetch(f"{export}/download", headers=headers)).json()
    archive = await mf.dispatch_fetch(
        "http://localhost" + link["download_url"], headers=headers
    )
    with zipfile.ZipFile(io.BytesIO(archive.content)) as opened:
        contents = {name: opened.read(name) for name in opened.namelist()}
    assert all(contents[f"blog/posts/{name}"] == content for name, content in FILES.items())


async def simulated() -> None:
    """One lifecycle in a fresh world."""
    async with emulator.Miniflare(**options()) as mf:
        await lifecycle(mf, "u1")


async def empty() -> None:
    """A world that nothing happens in."""
    async with emulator.Miniflare(**options()):
        pass


class Real(NamedTuple):
    """Seconds of the first world, of a later one, of a lifecycle, of one of eight at once."""

    first_s: float
    later_s: float
    alone_s: float
    crowded_s: float


async def real(count: int) -> Real:
    """Measure workerd."""
    given = options(bindings={"ALARM_DELAY_MS": "0"})
    del given["worker"]
    given["script_path"] = node_folder() / "amber" / "src" / "index.ts"
    start = perf_counter()
    async with RealMiniflare(**given) as mf:
        await mf.dispatch_fetch(URL)
        first_s = perf_counter() - start
    later_s = float("inf")
    for _ in range(3):
        start = perf_counter()
        async with RealMiniflare(**given) as mf:
            await mf.dispatch_fetch(URL)
            later_s = min(later_s, perf_counter() - start)
    async with RealMiniflare(**given) as mf:
        await lifecycle(mf, "warm")
        alone_s = crowded_s = float("inf")
        for turn in range(5):
            start = perf_counter()
            for number in range(count // 5):
                await lifecycle(mf, f"a{turn}-{number}")
            alone_s = min(alone_s, (perf_counter() - start) / (count // 5))
            start = perf_counter()
            await asyncio.gather(*(lifecycle(mf, f"c{turn}-{n}") for n in range(CROWD)))
            crowded_s = min(crowded_s, (perf_counter() - start) / CROWD)
    return Real(first_s, later_s, alone_s, crowded_s)


def main() -> None:
    """Print both, and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=60)
    count = parser.parse_args().count
    emulator.run(simulated)
    ours_s = empty_s = float("inf")
    for _ in range(5):
        start = perf_counter()
        for seed in range(count):
            emulator.run(simulated, seed=seed)
        ours_s = min(ours_s, (perf_counter() - start) / count)
        start = perf_counter()
        for _ in range(count):
            emulator.run(empty)
        empty_s = min(empty_s, (perf_counter() - start) / count)
    measured = asyncio.run(real(count))
    print(
        f"lifecycles a second: emulator {1 / ours_s:,.0f}, "
        f"workerd {1 / measured.alone_s:,.1f}, {CROWD} at once {1 / measured.crowded_s:,.1f}"
    )
    print(f"  ratios {measured.alone_s / ours_s:,.1f} and {measured.crowded_s / ours_s:,.1f}")
    print(
        f"start of a world: emulator {empty_s * 1000:.2f} ms, "
        f"workerd {measured.later_s * 1000:,.0f} ms, "
        f"the first {measured.first_s * 1000:,.0f} ms with Node's start"
    )
    print(f"  ratio {measured.later_s / empty_s:,.0f}")


if __name__ == "__main__":
    main()
