"""The client: a user who asks for an export, and asks again.

Promises: what a patient user does; nothing that a worker answers is an error here. Leaves to
others: what the answers mean (witness).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, final

from amber_worker.contract.auth_stubs import user_id_for
from amber_worker.contract.user import API, shown
from emulator.errors import EmulatorError

if TYPE_CHECKING:
    from amber_worker.contract.target import Target

__all__ = ["OTHER", "USER", "Client", "NoAnswer"]

USER: Final = user_id_for(1)
OTHER: Final = user_id_for(2)
#: So often the request is made again, and so long he waits before.
ATTEMPTS_MAX: Final = 8
ATTEMPT_DELAY_S: Final = 5


class NoAnswer(Exception):
    """A request that was not answered; the message says why."""


@final
class Client:
    """A user of one world.

    Args:
        mf: The world, here or on the real runtime.
        target: Its worker.
        body: What he asks for.
        delay_s: How long he waits before he asks again.
    """

    def __init__(
        self,
        mf: Any,
        target: Target,
        body: dict[str, object],
        delay_s: float = ATTEMPT_DELAY_S,
    ) -> None:
        self._mf = mf
        self._target = target
        self._body = body
        self._delay_s = delay_s
        #: Ids that the worker has answered with.
        self.accepted: set[str] = set()
        #: Answers that accepted nothing, in words.
        self.refusals: list[str] = []

    async def ask(self, path: str, **options: Any) -> Any:
        """Send one request of the user.

        Raises:
            NoAnswer: If the connection is lost, or the worker's handler raises.
        """
        url, headers = self._target.origin + path, self._target.credentials(USER)
        try:
            return await self._mf.dispatch_fetch(url, headers=headers, **options)
        except EmulatorError:
            raise  # Nobody's answer: the run itself cannot go on.
        except Exception as error:
            told = f"{options.get('method', 'GET')} {path} has no answer"
            raise NoAnswer(f"{told}: {type(error).__name__}: {error}") from error

    async def request(self) -> None:
        """Ask for an export until the request is accepted, or one is known to be under way."""
        for _ in range(ATTEMPTS_MAX):
            try:
                answer = await self.ask(f"{API}/export", method="POST", json=self._body)
            except NoAnswer as error:
                self.refusals.append(str(error))
            else:
                if answer.status_code in (200, 202):
                    told = answer.json()
                    self.accepted.add(str(told.get("export_id", told.get("exportId"))))
                    return
                if answer.status_code == 409:
                    return
                self.refusals.append(f"POST is {shown(answer)}")
            await asyncio.sleep(self._delay_s)

    async def look(self, export_id: str) -> None:
        """Ask how far it is, as users do; whatever the answer is."""
        with suppress(NoAnswer):
            await self.ask(f"{API}/export/{export_id}")
