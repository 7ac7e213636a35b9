"""The loops: which run a test and its async fixtures belong to.

Promises: a test has a simulation of its own, unless it uses an async fixture of a wider
scope: all tests that share one, and whatever else these use, share one simulation, which
begins with the first of them and ends with the widest of these fixtures. On another target
there is one real loop for the session. Leaves to others: what a run does, and the hooks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, final

import pytest

from emulator.testing.pytest_plugin.closure import fixtures_of, is_async, node_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulator.testing.pytest_plugin.simulated_run import Run, SimulatedRun

__all__ = ["LOOPS", "Loops"]


class _Share(NamedTuple):
    """A fixture that several tests share, and the node that it ends with."""

    node: Any
    fixturedef: Any

    def __str__(self) -> str:
        return f"the {self.fixturedef.scope}-scoped async fixture `{self.fixturedef.argname}`"


@final
class Loops:
    """The runs of one session.

    Args:
        config: Of pytest.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        #: For each test that shares its simulation, the widest fixture of those that do.
        self._shares: dict[pytest.Item, _Share] = {}
        self._runs: dict[Any, Run] = {}

    @property
    def is_simulated(self) -> bool:
        """Whether time is simulated: the target is the emulator."""
        return bool(self._config.getoption("emulator_target") == "emulator")

    def plan(self, items: list[pytest.Function]) -> None:
        """Decide which tests share a simulation.

        Args:
            items: All tests that run on our loops.
        """
        wider: dict[_Share, _Share] = {}
        own: dict[pytest.Item, _Share] = {}

        def widest(share: _Share) -> _Share:
            while wider.setdefault(share, share) is not share:
                share = wider[share]
            return share

        for item in items:
            for fixturedef in fixtures_of(item):
                share = _Share(node_of(item, fixturedef), fixturedef)
                if not is_async(fixturedef) or share.node is item:
                    continue
                pair = [widest(own.setdefault(item, share)), widest(share)]
                pair.sort(key=lambda one: len(one.node.listchain()))
                wider[pair[1]] = pair[0]
        self._shares = {item: widest(share) for item, share in own.items()}

    def is_shared(self, item: pytest.Item) -> bool:
        """Whether other tests run on the same simulation."""
        return item in self._shares

    def open(self, item: pytest.Item) -> Run:
        """The run of a test, which is closed when its owner has ended.

        Args:
            item: A test whose set-up begins.
        """
        if not self.is_simulated:
            from emulator.testing.pytest_plugin.real_run import RealRun

            return self._keep(item.session, RealRun)
        share = self._shares.get(item)
        if share is None:
            own = self.new(item)
            item.addfinalizer(own.close)
            return own
        run = self._keep(share.node, lambda: self.new(share.node, owner=_name(share.node)))
        _check_mark(item, share, run)
        item.addfinalizer(run.end_test)
        return run

    def new(self, node: Any, owner: str = "") -> SimulatedRun:
        """A new simulation, as the marks of a node and the command line say.

        Args:
            node: A test, or what several share.
            owner: Who shares it, in words.
        """
        from emulator.simulation.replaying import REPLAYING
        from emulator.testing.pytest_plugin.simulated_run import SimulatedRun

        token = REPLAYING.token_for(getattr(node, "function", None))
        if token is not None:
            return SimulatedRun(seed=token.seed, schedule=token.schedule(), owner=owner)
        options = {"seed": self._config.getoption("emulator_seed"), **_marked(node)}
        return SimulatedRun(**options, owner=owner)

    def owns(self, item: Any, node: Any) -> bool:
        """Whether the run of a test lives as long as a node: a fixture may live with it."""
        share = self._shares.get(item)
        owner = item if share is None else share.node
        return not self.is_simulated or owner in node.listchain()

    def _keep(self, node: Any, make: Callable[[], Run]) -> Run:
        """The run of a node, made when it is first needed and closed with the node."""
        if node not in self._runs:
            self._runs[node] = make()
            node.addfinalizer(lambda: self._runs.pop(node).close())
        return self._runs[node]


#: Where the session keeps its loops.
LOOPS: Final = pytest.StashKey[Loops]()


def _marked(node: Any) -> dict[str, Any]:
    """What `@pytest.mark.simulated` says."""
    mark = node.get_closest_marker("simulated")
    if mark is None:
        return {}
    if mark.args or mark.kwargs.keys() - {"seed", "start_time"}:
        message = f"@pytest.mark.simulated takes seed=... and start_time=..., got {mark}"
        pytest.fail(message, pytrace=False)
    return dict(mark.kwargs)


def _check_mark(item: Any, share: _Share, run: Run) -> None:
    """Refuse a mark of one test that contradicts the simulation which it shares."""
    for name, value in _marked(item).items():
        shared = getattr(run, name)
        if value != shared:
            message = (
                f"{item.nodeid} says simulated({name}={value!r}), but through {share} it "
                f"shares the simulation of {_name(share.node)}, where {name} is {shared!r}: "
                "put the mark there, or use a function-scoped fixture"
            )
            pytest.fail(message, pytrace=False)


def _name(node: Any) -> str:
    return node.nodeid if node.nodeid not in ("", ".") else "the session"
