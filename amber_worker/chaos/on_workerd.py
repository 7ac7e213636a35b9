"""On workerd: exports of a bundle on the real runtime, under faults and in real time.

Promises: what a user does and what the laws judge, as far as the real runtime shows it: nobody
sees what objects store, which uploads are open, and what is true between two looks. A finding
has a token, which repeats its faults and not its timing. Leaves to others: what goes wrong
(`emulator.workerd.chaos`), what must be true (amber_worker.laws).
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, final

from amber_worker.chaos.cases import case_named
from amber_worker.chaos.client import OTHER, USER, Client, NoAnswer
from amber_worker.chaos.disturbance import disturbance_of
from amber_worker.chaos.units import Finding, Outcome
from amber_worker.chaos.watch import ARCHIVES
from amber_worker.contract.archive import Archive, LawBroken
from amber_worker.contract.seeds import Storage
from amber_worker.contract.user import API, json_of, shown
from amber_worker.laws import Expected, ExportEvidence, WorldEvidence, assert_kept
from amber_worker.laws.life import ENDED
from emulator.errors import ConfigurationError
from emulator.faults import from_json
from emulator.workerd.chaos import KINDS, Storm, explore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from amber_worker.chaos.cases import Case
    from amber_worker.contract.target import Target
    from emulator.faults import FaultRule
    from emulator.workerd import Miniflare

__all__ = ["RealScenario", "explore_bundle", "outcome_of_calm", "repeat"]

ATTEMPT_DELAY_S: Final = 0.05
LOOK_DELAY_S: Final = 0.05
#: A failing alarm runs again after 2, 4, 8, 16, 32 and 64 s.
EXPORT_S_MAX: Final = 150.0
NEXT_S_MAX: Final = 10.0
_ROWS: Final = "SELECT * FROM storage_exports ORDER BY rowid"
_NEXT: Final = {"type": "category", "filters": {"category": "none of them"}}


def explore_bundle(
    target: Target,
    case: Case,
    *,
    world_count: int,
    kinds: Sequence[str] = (),
    seed: int = 0,
    number: int = 0,
) -> Outcome:
    """Run one case in so many real worlds, the calm one first.

    Args:
        target: The bundle: `choose("workerd", script=..., config=...)`.
        case: What is exported.
        world_count: How many worlds.
        kinds: Of `emulator.workerd.chaos.KINDS`, or their first words; empty is all.
        seed: Decides which faults are drawn.
        number: Of the outcome.

    Raises:
        LawBroken: If the calm export breaks a law.
        ConfigurationError: If there is no such kind, or the bundle cannot be started.
    """
    wanted = KINDS if not kinds else [kind for kind in KINDS if _is_among(kind, kinds)]
    scenario = RealScenario(target, case)
    found = asyncio.run(explore(scenario, world_count=world_count, seed=seed, kinds=wanted))
    return Outcome(
        number=number,
        case=case.name,
        world_count=found.world_count,
        tried={"calm": 1, **found.tried},
        findings=tuple(
            Finding(
                case=case.name,
                kinds=tuple(dict.fromkeys(fault.kind for fault in one.drawn)),
                happened=tuple(fault.sentence for fault in one.drawn),
                broken=tuple(str(one.error).splitlines()),
                token=_token(case, [fault.rule for fault in one.drawn]),
            )
            for one in found.findings
        ),
    )


def outcome_of_calm(case: Case, broken: LawBroken) -> Outcome:
    """What is told of a calm world that breaks a law.

    Args:
        case: What was exported.
        broken: What is broken.
    """
    finding = Finding(
        case=case.name,
        kinds=(),
        happened=(),
        broken=tuple(str(broken).splitlines()),
        token=_token(case, ()),
    )
    return Outcome(
        number=0, case=case.name, world_count=1, tried={"calm": 1}, findings=(finding,)
    )


def repeat(target: Target, token: str) -> None:
    """Run the world of a finding once more.

    Raises:
        LawBroken: If a law is broken.
        ConfigurationError: If the token is none.
    """
    try:
        told = json.loads(token)
        case, rules = case_named(told["case"]), [from_json(rule) for rule in told["rules"]]
    except (ValueError, TypeError, KeyError) as error:
        message = f"a token of a real world is JSON with a case and rules, got {token!r}"
        raise ConfigurationError(message) from error
    asyncio.run(_once(RealScenario(target, case), Storm(*rules)))


async def _once(scenario: RealScenario, storm: Storm) -> None:
    await scenario(storm)


def _token(case: Case, rules: Sequence[FaultRule]) -> str:
    return json.dumps(
        {"case": case.name, "rules": [json.loads(rule.to_json()) for rule in rules]}
    )


def _is_among(kind: str, wanted: Sequence[str]) -> bool:
    return any(kind == one or kind.startswith(f"{one} ") for one in wanted)


@final
class RealScenario:
    """One case on one bundle. Called with a storm, it runs it once.

    Args:
        target: The worker, on workerd.
        case: What is exported; rows that come and go are left out.
        delay_ms: Between the alarms of our own worker, which does not wait for seconds then.
    """

    def __init__(self, target: Target, case: Case, *, delay_ms: int = 20) -> None:
        self.target = target
        self.case = case
        self.content = replace(case.content().keyed(), added=(), trashed=())
        self._variables = {"ALARM_DELAY_MS": str(delay_ms)}

    async def __call__(self, storm: Storm) -> None:
        """Run it in a world of its own.

        Raises:
            LawBroken: If a law is broken.
        """
        async with self.target.handle(**self._variables) as mf:
            run = _Run(self, mf)
            await run.seed()
            storm.begin(mf)
            await run.client.request()
            await run.wait(EXPORT_S_MAX)
            await storm.end(mf)
            await run.wait(EXPORT_S_MAX)
            assert_kept(await run.evidence(storm))


class _Run:
    """One world of a scenario."""

    def __init__(self, scenario: RealScenario, mf: Miniflare) -> None:
        self.client = Client(mf, scenario.target, scenario.case.body, ATTEMPT_DELAY_S)
        self._content = scenario.content
        self._mf = mf
        self._database = mf.get_d1_database(scenario.target.database)
        self._bucket = mf.get_r2_bucket(scenario.target.bucket)
        self._history: dict[str, list[str]] = {}
        self._versions: dict[str, str] = {}

    async def seed(self) -> None:
        """Write the files."""
        storage, content = Storage(self._database, self._bucket), self._content
        for user_id, files in (
            (USER, [*content.live, *content.left]),
            (OTHER, list(content.others)),
        ):
            await storage.add_user(user_id)
            await storage.add_files(user_id, files)
        objects = await self._objects()
        self._versions = {key: found.version for key, found in objects.items()}

    async def wait(self, seconds: float) -> None:
        """Look until every export has ended, or it has taken too long."""
        end = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < end:
            rows = await self._rows()
            if all(row["status"] in ENDED for row in rows):
                return
            await asyncio.sleep(LOOK_DELAY_S)

    async def evidence(self, storm: Storm) -> WorldEvidence:
        """What the world shows when nothing goes wrong any more."""
        disturbance = disturbance_of(storm.injected)
        rows, objects = await self._rows(), await self._objects()
        content = self._content
        expected = Expected(files=content.live, strange=content.left + content.others)
        exports = []
        for row in rows:
            archive, told = None, ""
            if row["status"] == "completed" and row["r2_key"] is not None:
                archive, told = await self._download(row["id"])
            exports.append(
                ExportEvidence(
                    row=row,
                    history=tuple(self._history[row["id"]]),
                    expected=expected,
                    disturbance=disturbance,
                    archive=archive,
                    download=told,
                )
            )
        next_row, next_answer = await self._next(len(rows))
        return WorldEvidence(
            exports=tuple(exports),
            unknown=tuple(sorted(self.client.accepted - {row["id"] for row in rows})),
            refused=() if rows else tuple(self.client.refusals),
            archives={
                key: found.size for key, found in objects.items() if key.startswith(ARCHIVES)
            },
            changed=tuple(
                f"{key!r} was written again or is gone"
                for key, version in self._versions.items()
                if key not in objects or objects[key].version != version
            ),
            next_row=next_row,
            next_answer=next_answer,
            disturbance=disturbance,
        )

    async def _rows(self) -> list[dict[str, Any]]:
        rows = (await self._database.prepare(_ROWS).all()).results
        for row in rows:
            history = self._history.setdefault(row["id"], [])
            if history[-1:] != [row["status"]]:
                history.append(row["status"])
        return [dict(row) for row in rows]

    async def _objects(self) -> dict[str, Any]:
        found, cursor = {}, None
        while True:
            page = await self._bucket.list({} if cursor is None else {"cursor": cursor})
            found.update({listed.key: listed for listed in page.objects})
            if not page.truncated:
                return found
            cursor = page.cursor

    async def _download(self, export_id: str) -> tuple[Archive | None, str]:
        try:
            link = await self.client.ask(f"{API}/export/{export_id}/download")
            url = str(json_of(link, 200).get("download_url"))
            answer = await self.client.ask(url)
        except (NoAnswer, LawBroken) as error:
            return None, str(error)
        if answer.status_code != 200:
            return None, f"GET {url} is {shown(answer)}"
        try:
            return Archive(answer.content, f"the archive of export {export_id}"), ""
        except LawBroken as broken:
            return None, str(broken)

    async def _next(self, known_count: int) -> tuple[dict[str, Any] | None, str]:
        try:
            answer = await self.client.ask(f"{API}/export", method="POST", json=_NEXT)
        except NoAnswer as error:
            return None, str(error)
        await self.wait(NEXT_S_MAX)
        rows = (await self._rows())[known_count:]
        return (rows[-1] if rows else None), shown(answer)
