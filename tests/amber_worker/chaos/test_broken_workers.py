"""Broken workers: each mistake is found, in a worker that we did not write, and told small."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from amber_worker.chaos.exploring import explore_unit, source_of
from amber_worker.chaos.units import Unit

if TYPE_CHECKING:
    from amber_worker.chaos.units import Outcome

PLAIN = Path(__file__).with_name("plain_worker.py")

TAKEN = "len(state['files']) + len(state['missing'])"
PUT = '        await self.env.R2_BUCKET.put(state["key"], buffer.getvalue())\n'
END = "        await self.ctx.storage.deleteAll()\n\n    def name_of"
DELETE = '                await self.env.R2_BUCKET.delete(state["key"])\n'
SAVE = '            storage.put("export_state", json.dumps(state))\n'

#: What is wrong, in which case it shows, what becomes of the text, and the law that is broken.
MISTAKES = {
    "D1 is told before the archive is there": (
        "one file",
        [(PUT, ""), (END, PUT + END)],
        "status and r2 agree at every instant",
    ),
    "the state goes before D1 is told": (
        "one file",
        [(PUT, PUT + "        await self.ctx.storage.deleteAll()\n")],
        "the status reaches completed or failed",
    ),
    "each attempt has a key of its own": (
        "one file",
        [(PUT, '        state["key"] += str(int(time.time() * 1000))\n' + PUT)],
        "no archive is orphaned",
    ),
    "nobody starts what was cut off": (
        "one file",
        [("    async def scheduled(", "    async def never(")],
        "the status reaches completed or failed",
    ),
    "the alarm is there before the state": (
        "one file",
        [
            (SAVE, ""),
            (
                '        await self.tell(export_id, "status = \'processing\'", ("pending",))\n',
                '        await self.tell(export_id, "status = \'processing\'", ("pending",))\n'
                "        if await storage.get('export_state') is None:\n" + SAVE,
            ),
        ],
        "the status reaches completed or failed",
    ),
    "one error is enough, and the archive stays": (
        "one file",
        [
            ("RETRIES = 6", "RETRIES = 0"),
            (DELETE, "                pass\n"),
        ],
        "no archive is orphaned",
    ),
    "a lost read is an empty file": (
        "one file",
        [("                content = None\n", '                content = b""\n')],
        "each live file is there once byte for byte",
    ),
    "the manifest forgets what is missing": (
        "three files",
        [('"missing": [file["r2_key"] for file in state["missing"]]', '"missing": []')],
        "each missing file is named",
    ),
    "the trash is exported": (
        "three files",
        [("user_id = ? AND deleted_at IS NULL", "user_id = ?")],
        "each live file is there once byte for byte",
    ),
    "two requests are two exports with one archive": (
        "two requests at once",
        [("SELECT 1 FROM storage_exports\"", "SELECT 1 FROM storage_addons\""),
         (" WHERE user_id = ?2 AND status IN ('pending', 'processing'))", ")"),
         ("{row.user_id}/{export_id}/{now}", "{row.user_id}/{now}")],
        "a completed export has its archive",
    ),
    "files of one name are one": (
        "odd names",
        [("while name.casefold() in names or", "while")],
        "a completed export has its archive",
    ),
    "pages go by number": (
        "rows that come and go",
        [
            ("(created_at, id) < (?, ?)", "1"),
            (", *state[\"cursor\"]]", "]"),
            ('LIMIT {CHUNK}"', f'LIMIT {{CHUNK}} OFFSET {{{TAKEN}}}"'),
        ],
        "each live file is there once byte for byte",
    ),
}  # fmt: skip


def explored(path: Path, case: str, worlds: int) -> Outcome:
    return explore_unit(
        Unit(
            number=0,
            worker=source_of(str(path)),
            case=case,
            world_count=worlds,
            kinds=(),
            seed=0,
        )
    )


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found_and_told_in_one_deviation(mistake: str, tmp_path: Path) -> None:
    case, changes, law = MISTAKES[mistake]
    text = PLAIN.read_text(encoding="utf-8")
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    script = tmp_path / "worker.py"
    script.write_text(text, encoding="utf-8")
    (finding,) = explored(script, case, 300).findings
    assert any(one.startswith(law) for one in finding.broken), finding
    assert len(finding.kinds) <= 1
    assert finding.token


@pytest.mark.parametrize(("case", "worlds"), [("one file", 120), ("two requests at once", 60)])
def test_the_worker_without_mistakes_passes(case: str, worlds: int) -> None:
    outcome = explored(PLAIN, case, worlds)
    assert outcome.findings == ()
    assert outcome.world_count == worlds or outcome.is_exhausted
