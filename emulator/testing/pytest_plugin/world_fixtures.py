"""The world fixtures: `miniflare`, its options, and the factory.

Promises: a world with the options of the project's `emulator_config`, the fixture
`miniflare_options`, the marks and the call, each going over those before it; what belongs to
the target that was asked for. Leaves to others: loops (the hooks), what the options mean.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

import pytest

from emulator.testing.pytest_plugin.loops import LOOPS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from datetime import datetime

    from emulator.http.miniflare import Miniflare
    from emulator.simulation.schedules import Schedule

__all__ = [
    "PLACE",
    "TOLD",
    "MiniflareFactory",
    "Place",
    "anchored",
    "miniflare",
    "miniflare_factory",
    "miniflare_options",
]

_NO_OPTIONS: Final = (
    "the `miniflare` fixture does not know its worker: mark the test with "
    "@pytest.mark.miniflare(script_path='worker.py', durable_objects={'JOBS': 'Job'}), or "
    "define a fixture `miniflare_options` that returns such a dict, or set "
    'emulator_config = "wrangler.toml" in the configuration of pytest'
)


@final
class Place:
    """Where the session is.

    Attributes:
        item: The test that is set up, runs, or is torn down.
        node: Whose marks count: the test, or what the fixture in set-up lives with.
    """

    def __init__(self) -> None:
        self.item: Any = None
        self.node: Any = None


PLACE: Final = pytest.StashKey[Place]()
#: Options whose bindings go over each other one by one: a test replaces one of many.
_ONE_BY_ONE: Final = ("bindings", "service_bindings")
#: What happened in the last `miniflare_factory.run` of a test that failed.
TOLD: Final = pytest.StashKey[str]()
#: What `emulator_config` says, read once a session.
_CONFIGURED: Final = pytest.StashKey[dict[str, Any]]()


@pytest.fixture
def miniflare_options() -> dict[str, Any]:
    """Options of the `miniflare` fixture, to be overridden; those of the mark go first."""
    return {}


@pytest.fixture
async def miniflare(
    request: pytest.FixtureRequest, miniflare_options: dict[str, Any]
) -> AsyncIterator[Miniflare]:
    """A fresh world: a worker with its bindings, disposed after the test."""
    async with _make(request.config, [miniflare_options, *_marked(request.node)]) as world:
        yield world


@pytest.fixture(scope="session")
def miniflare_factory(pytestconfig: pytest.Config) -> MiniflareFactory:
    """Makes worlds: for synchronous tests, @given ones too, and for wider async fixtures."""
    return MiniflareFactory(pytestconfig)


@final
class MiniflareFactory:
    """Makes worlds with the options that `miniflare` would have, and runs functions in them.

    Args:
        config: Of pytest.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._place = config.stash[PLACE]

    def __call__(self, **options: Any) -> Miniflare:
        """A world that has not been entered: use it with `async with`.

        In an async fixture of any scope, or inside of `emulator.run`.

        Args:
            options: As of `emulator.Miniflare`. They go over those of the marks, of
                `miniflare_options` (in a test) and of `emulator_config`. A relative
                `script_path` begins at the folder of the file that calls.
        """
        world: Miniflare = self._make(options, Path(sys._getframe(1).f_code.co_filename).parent)
        return world

    def run(
        self,
        async_fn: Callable[..., Awaitable[Any]],
        *args: Any,
        seed: int | None = None,
        schedule: Schedule | None = None,
        start_time: int | datetime | None = None,
        **options: Any,
    ) -> Any:
        """Run `async_fn(world, *args)` in a fresh world, on a simulation of its own.

        Args:
            async_fn: A coroutine function; its first argument is the entered world.
            args: The others.
            seed: As of `emulator.run`; None is that of `--emulator-seed`.
            schedule: As of `emulator.run`.
            start_time: As of `emulator.run`.
            options: As of a call of the factory.

        Returns:
            What `async_fn` returns.

        Raises:
            Exception: What `async_fn` raises, and what `emulator.run` does.
        """
        __tracebackhide__ = True
        folder = Path(sys._getframe(1).f_code.co_filename).parent
        world = self._make(options, folder)

        async def main() -> Any:
            __tracebackhide__ = True
            async with world as entered:
                try:
                    return await async_fn(entered, *args)
                except BaseException as error:
                    self._keep(error)
                    raise

        loops = self._config.stash[LOOPS]
        if not loops.is_simulated:
            if (seed, schedule, start_time) != (None, None, None):
                pytest.skip(_needs_time(self._config, "a seed, schedule or start_time"))
            return loops.open(self._place.item).call(main)
        from emulator.simulation.runner import run

        if seed is None:
            seed = self._config.getoption("emulator_seed")
        return run(main, seed=seed, schedule=schedule, start_time=start_time)

    def _make(self, options: dict[str, Any], folder: Path) -> Any:
        node = self._place.node
        layers = _marked(node)
        if node is self._place.item:
            layers.insert(0, node._request.getfixturevalue("miniflare_options"))
        return _make(self._config, [*layers, anchored(options, folder)])

    def _keep(self, error: BaseException) -> None:
        if self._config.stash[LOOPS].is_simulated and not _is_of_hypothesis(error):
            from emulator.simulation.runner import current_simulation
            from emulator.testing.failure_report import describe

            self._place.item.stash[TOLD] = describe(current_simulation())


def _make(config: pytest.Config, layers: list[dict[str, Any]]) -> Any:
    """A world of the target that was asked for.

    Args:
        config: Of pytest.
        layers: Options, the last go over those before.
    """
    target = config.getoption("emulator_target")
    options = dict(_configured(config))
    real: dict[str, Any] = options.pop("workerd", {})
    for layer in layers:
        options = _over(options, _checked(layer))
        real = _over(real, _checked(options.pop("workerd", {})))
    if target == "emulator":
        from emulator.http.miniflare import Miniflare

        return Miniflare(**_known(options))
    if "script_path" in real:
        options.pop("worker", None)
    options = _over(options, real)
    if not options.get("faults"):
        options.pop("faults", None)
    elif target != "workerd":
        pytest.skip(_needs_time(config, "option faults"))
    import emulator.workerd as workerd
    from emulator.errors import UnsupportedByTarget

    if target != "workerd":
        return workerd.Deployed(target)
    if seed := config.getoption("emulator_seed"):
        options["seed"] = seed
    try:
        return workerd.Miniflare(**_known(options))
    except UnsupportedByTarget as error:
        pytest.skip(str(error))


def _over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = {**below, **above}
    for name in _ONE_BY_ONE:
        layers = below.get(name), above.get(name)
        if all(isinstance(layer, dict) for layer in layers):
            merged[name] = {**below[name], **above[name]}
    return merged


def _known(options: dict[str, Any]) -> dict[str, Any]:
    if not options:
        pytest.fail(_NO_OPTIONS, pytrace=False)
    return options


def _configured(config: pytest.Config) -> dict[str, Any]:
    """The options of the file which the ini value `emulator_config` names."""
    if _CONFIGURED not in config.stash:
        name, options = config.getini("emulator_config"), {}
        if name:
            from emulator.runtime.wrangler import options_from_wrangler

            folder = config.rootpath if config.inipath is None else config.inipath.parent
            environment = config.getini("emulator_environment") or None
            options = options_from_wrangler(folder / name, environment)
        config.stash[_CONFIGURED] = options
    return config.stash[_CONFIGURED]


def _marked(node: Any) -> list[dict[str, Any]]:
    """What the marks of a node say, the closest last."""
    layers = []
    for owner, mark in reversed(list(node.iter_markers_with_node("miniflare"))):
        if mark.args:
            message = f"@pytest.mark.miniflare takes keyword arguments only, got {mark.args!r}"
            pytest.fail(message, pytrace=False)
        path = owner.path
        layers.append(anchored(mark.kwargs, path if path.is_dir() else path.parent))
    return layers


def anchored(options: Any, folder: Path) -> Any:
    """Options whose relative `script_path` begins at the folder of the file that says it.

    Args:
        options: As somebody wrote them.
        folder: Where that file lies.
    """
    if not isinstance(options, dict):
        return options  # To be refused where it is used.
    options = dict(options)
    if isinstance(options.get("script_path"), str | Path):
        options["script_path"] = folder / options["script_path"]
    if "workerd" in options:
        options["workerd"] = anchored(options["workerd"], folder)
    return options


def _checked(options: Any) -> dict[str, Any]:
    if not isinstance(options, dict):
        message = (
            f"the options of a world are a dict, got {options!r}: let `miniflare_options` "
            "return, and `workerd=` be, such as {'script_path': 'worker.py'}"
        )
        pytest.fail(message, pytrace=False)
    return options


def _needs_time(config: pytest.Config, what: str) -> str:
    target = config.getoption("emulator_target")
    return f"needs simulated time ({what}), and the target is {target}"


def _is_of_hypothesis(error: BaseException) -> bool:
    return type(error).__module__.startswith("hypothesis")
