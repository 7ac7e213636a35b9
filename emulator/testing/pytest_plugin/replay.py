"""Replay: `--emulator-replay TOKEN`, the world of a token in the test that found it.

Promises: whatever in the selected tests runs the token's scenario (the test itself,
`emulator.run`, `emulator.explore`) runs it in the token's world; a token that nobody used is
told at the end. Leaves to others: running it.
"""

from __future__ import annotations

import pytest

from emulator.errors import ConfigurationError
from emulator.simulation.replaying import REPLAYING
from emulator.simulation.tokens import read_token

__all__ = ["begin"]


def begin(config: pytest.Config, word: str) -> None:
    """Ask for the world of a token, until pytest ends.

    Raises:
        UsageError: If the token is none.
    """
    try:
        REPLAYING.token = read_token(word)
    except ConfigurationError as error:
        message = f"--emulator-replay: {error}"
        raise pytest.UsageError(message) from error
    REPLAYING.used.clear()
    config.add_cleanup(_end)
    config.pluginmanager.register(_Summary(), "emulator-replay")


def _end() -> None:
    REPLAYING.token = None


class _Summary:
    """What is said at the end."""

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Tell whether the token was used."""
        token = REPLAYING.token
        assert token is not None, "it ends with pytest"
        if REPLAYING.used:
            told = f"replayed: {', '.join(dict.fromkeys(REPLAYING.used))}"
        else:
            wanted = token.scenario or "a function inside of another"
            told = f"nothing was replayed: no test ran the token's scenario, {wanted}"
        terminalreporter.write_sep("=", told)
