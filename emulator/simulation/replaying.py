"""Replaying: the one run that this process was asked for, `pytest --emulator-replay TOKEN`.

Promises: `emulator.run`, `emulator.explore` and simulated tests ask here, and whoever runs the
token's scenario gets the token; without one it costs a look at a variable. Leaves to others:
what a token holds (tokens), and running it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    from emulator.simulation.tokens import Token

__all__ = ["REPLAYING", "Replaying"]


@final
class Replaying:
    """The token that is asked for, if any.

    Attributes:
        token: None is the usual state.
        used: The names of those who got it.
    """

    def __init__(self) -> None:
        self.token: Token | None = None
        self.used: list[str] = []

    def token_for(self, scenario: Any) -> Token | None:
        """The token, if this scenario is what it was made of.

        A token without a name was made of a function inside of another, and fits all of those.

        Args:
            scenario: The async function that is about to run.
        """
        token = self.token
        if token is None:
            return None
        from emulator.simulation.tokens import name_of

        name = name_of(scenario)
        if token.scenario != name:
            return None
        self.used.append(name or getattr(scenario, "__qualname__", repr(scenario)))
        return token


REPLAYING = Replaying()
