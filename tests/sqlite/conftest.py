"""A database with a clock that stands still and chance that counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from emulator.simulation.randomness import Randomness
from emulator.sqlite.database import Database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOW_MS = 1_767_225_600_123


@pytest.fixture
def make() -> Iterator[Callable[..., Database]]:
    """Opens databases; `seed`, `now_ms` and what Database takes."""
    opened: list[Database] = []

    def build(
        *, seed: int = 0, now_ms: Callable[[], int] | None = None, **options: Any
    ) -> Database:
        randomness = Randomness(seed)
        database = Database(
            now_ms=now_ms or (lambda: NOW_MS),
            random_bytes=lambda size: randomness.token_bytes("sql", size),
            **options,
        )
        opened.append(database)
        return database

    yield build
    for database in opened:
        database.close()


@pytest.fixture
def database(make: Callable[..., Database]) -> Database:
    """An empty one, of an object."""
    return make()
