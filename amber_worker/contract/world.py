"""The world: one running worker, and the users who ask it.

Promises: each law meets users whom no other law has met, where the worker runs here; one
user, whose credentials were given, where it is deployed. Leaves to others: starting the worker
(target).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, final

import httpx

from amber_worker.contract.archive import LawBroken
from amber_worker.contract.auth_stubs import user_id_for
from amber_worker.contract.seeds import SeededFile, Storage
from amber_worker.contract.user import Export, User
from emulator.errors import JsException

if TYPE_CHECKING:
    from collections.abc import Mapping

    from amber_worker.contract.patience import Patience
    from amber_worker.contract.target import Target

__all__ = ["NobodyThere", "World"]

#: The platform gives a failing alarm six more runs, two minutes long; and some to spare.
FAILURE_WAIT_MS: Final = 240_000


class NobodyThere(Exception):
    """Nobody can be reached, so no law has been broken."""


@final
class World:
    """One running worker.

    Args:
        target: Who is judged.
        handle: `emulator.Miniflare`, `emulator.workerd.Miniflare` or
            `emulator.workerd.Deployed`.
        patience: How long it is waited for.
    """

    def __init__(self, target: Target, handle: Any, patience: Patience) -> None:
        self.target = target
        self.handle = handle
        self.patience = patience
        self._user_count = 0
        self._failing: Export | Exception | None = None
        self._shared: dict[str, Export | Exception] = {}
        self._storage: Storage | None = None

    @property
    def now_ms(self) -> int:
        """The target's time, epoch milliseconds."""
        return int(self.handle.clock.now_ms)

    @property
    def storage(self) -> Storage:
        """The worker's D1 and R2."""
        if self._storage is None:
            self._storage = Storage(
                self.handle.get_d1_database(self.target.database),
                self.handle.get_r2_bucket(self.target.bucket),
            )
        return self._storage

    async def ask(self, path: str, **options: Any) -> Any:
        """Send one request, with no credentials but those in `options`.

        Raises:
            LawBroken: If the worker throws, is silent, or has told a path that is none.
            NobodyThere: If there is no connection.
        """
        asked = f"{options.get('method', 'GET')} {path}"
        wait_s = self.patience.answer_ms / 1_000
        try:
            async with asyncio.timeout(wait_s):
                answer = await self.handle.dispatch_fetch(self.target.origin + path, **options)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise NobodyThere(str(error) or "no connection could be made in time") from error
        except (TimeoutError, httpx.TimeoutException):
            self.patience.heard_nothing()
            message = f"{asked} has no whole answer after {wait_s:.3g} s"
            raise LawBroken(message) from None
        except (JsException, httpx.InvalidURL) as error:
            message = f"{asked} has no answer: {error}"
            raise LawBroken(message) from error
        self.patience.heard()
        return answer

    async def user(self) -> User:
        """A user whom nobody has met; on a deployed worker the one there is."""
        if self.target.own_headers is not None:
            return User(self, None, self.target.own_headers)
        self._user_count += 1
        user_id = user_id_for(self._user_count)
        await self.storage.add_user(user_id)
        return User(self, user_id, self.target.credentials(user_id))

    async def export_of_each(self, files: Mapping[str, SeededFile], case: str) -> Export:
        """The completed export of one file, by a user of its own.

        Args:
            files: A file for each case of a law. Where real time passes, the first case
                begins the exports of all, so that one wait is enough.
            case: Which of them.
        """
        for name in files if self.target.scope == "session" else (case,):
            if name not in self._shared:
                self._shared[name] = await self._attempt(files[name])
        export = self._shared[case]
        if isinstance(export, Exception):
            raise export
        return await export.complete()

    async def _attempt(self, file: SeededFile) -> Export | Exception:
        """Begin an export; what fails concerns the law that asks for it, and no other."""
        try:
            user = await self.user()
            return await self._begin(user, file)
        except Exception as error:
            return error

    async def _begin(self, user: User, file: SeededFile) -> Export:
        files = await user.add(file)
        export = await user.begin()
        export.files = files
        return export

    async def begin_failing_export(self) -> None:
        """Begin an export whose success D1 refuses to note.

        A worker whose platform tries a failing alarm again needs two minutes for it, in which
        other laws have their turn.
        """
        try:
            user = await self.user()
            await self.storage.execute(
                "CREATE TRIGGER contract_refusal BEFORE UPDATE ON storage_exports"
                f" WHEN NEW.status = 'completed' AND NEW.user_id = '{user.id}'"
                " BEGIN SELECT RAISE(ABORT, 'the contract refuses this'); END"
            )
            self._failing = await self._begin(user, SeededFile("lost.txt", b"never exported"))
        except Exception as error:
            self._failing = error

    async def failed_export(self) -> Export:
        """That export, when it has ended."""
        if self._failing is None:
            await self.begin_failing_export()
        failing = self._failing
        if isinstance(failing, Exception):
            raise failing
        assert failing is not None, "it has begun"
        return await failing.end(max(FAILURE_WAIT_MS, self.patience.export_ms))
