"""The entry: what every pytest loads in whose environment we are.

Promises: the contract's options exist where the contract is run, and nowhere else; nothing
else is imported. Leaves to others: the options (options).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import pytest

__all__ = ["pytest_load_initial_conftests"]

_PACKAGE: Final = "amber_worker.contract"


# A conftest could not declare them: with --pyargs pytest reads none of a package before it
# has parsed the command line (pytest, Config._preparse).
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Declare the options if an argument names the contract, or a folder around it."""
    here = Path(__file__).parent
    for named in early_config.known_args_namespace.file_or_dir:
        place = named.partition("::")[0]
        path = Path(place).absolute()
        if place.startswith(_PACKAGE) or here in (path, path.parent) or path in here.parents:
            early_config.pluginmanager.import_plugin(f"{_PACKAGE}.options")
            return
