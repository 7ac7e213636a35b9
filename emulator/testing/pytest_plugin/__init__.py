"""The pytest plugin: `async def` tests under simulated time, and worlds for them.

Promises: an `async def` test that uses `miniflare` or `miniflare_factory`, directly or
through other fixtures, or is marked `simulated`, runs with its async fixtures on a simulated
loop, whatever other async plugins are installed, or on a real one if the target is not the
emulator; every other test is left alone. Leaves to others: all that happens once a test is
met (the hooks). Nothing heavy is imported until then: this module is loaded by every pytest
in whose environment we are.
"""

from __future__ import annotations

from typing import Final

import pytest

from emulator.testing.pytest_plugin.hooks import Hooks
from emulator.testing.pytest_plugin.world_fixtures import (
    miniflare,
    miniflare_factory,
    miniflare_options,
)

__all__ = ["miniflare", "miniflare_factory", "miniflare_options"]

_MARKERS: Final = (
    "simulated(seed=0, start_time=None): run this `async def` test on a simulated loop; seed "
    "decides every random stream, start_time is epoch milliseconds or a datetime.",
    "miniflare(**options): options of the `miniflare` fixture, such as script_path (relative "
    "to the test's folder), worker, durable_objects, r2_buckets, d1_databases; workerd={...} "
    "replaces some of them for that target.",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    group = parser.getgroup("emulator", "Cloudflare Workers under simulated time")
    group.addoption(
        "--emulator-seed",
        type=int,
        default=0,
        metavar="N",
        help="seed of the simulated tests whose mark does not set one (default: 0)",
    )
    group.addoption(
        "--emulator-target",
        default="emulator",
        metavar="TARGET",
        help="where worlds live: emulator (default), workerd, or the URL of a deployed worker",
    )
    group.addoption(
        "--emulator-replay",
        metavar="TOKEN",
        help="run the scenario of a token, and it alone, in the world that the token names; "
        "select its test as usual",
    )
    parser.addini(
        "emulator_config",
        default="",
        help="a wrangler.toml or wrangler.jsonc, relative to this file, with options of the "
        "`miniflare` fixture",
    )
    parser.addini(
        "emulator_environment",
        default="",
        help="which of its environments, as wrangler's --env; empty is the top level",
    )


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Declare the marks, and take the place outside of every other plugin's hooks."""
    target = config.getoption("emulator_target")
    if target not in ("emulator", "workerd") and "://" not in target:
        message = (
            f"--emulator-target is emulator, workerd or a URL (https://...), got {target!r}"
        )
        raise pytest.UsageError(message)
    if (word := config.getoption("emulator_replay")) is not None:
        from emulator.testing.pytest_plugin import replay

        replay.begin(config, word)
    for line in _MARKERS:
        config.addinivalue_line("markers", line)
    config.pluginmanager.register(Hooks(config), "emulator-hooks")


def pytest_report_header(config: pytest.Config) -> str | None:
    """Tell the target where it is not the usual one."""
    target = config.getoption("emulator_target")
    return None if target == "emulator" else f"emulator target: {target}"
