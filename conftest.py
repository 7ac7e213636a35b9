"""What every test may ask for."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="session")
def require_tool() -> Callable[[str], str]:
    """Gives the path of a program; without it the test is skipped, but fails in CI."""

    def require(name: str) -> str:
        path = shutil.which(name)
        if path is None:
            message = f"this test needs the program {name!r} on PATH"
            if os.environ.get("CI"):
                pytest.fail(message)
            pytest.skip(message)
        return path

    return require
