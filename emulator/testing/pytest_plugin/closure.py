"""The closure: what fixtures a test uses, as pytest has worked it out while collecting.

Promises: the fixtures of one test in the order of their set-up, which of them are async,
directly or through others, and where each of them lives. Leaves to others: setting them up.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from _pytest.fixtures import get_scope_node, get_scope_package
from _pytest.scope import Scope

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

__all__ = ["fixtures_of", "is_async", "node_of", "scope_of", "uses_async"]


def is_async(fixturedef: Any) -> bool:
    """Whether the fixture's function is a coroutine function or an async generator."""
    function = fixturedef.func
    return inspect.isasyncgenfunction(function) or inspect.iscoroutinefunction(function)


def fixtures_of(item: pytest.Function, name: str | None = None) -> Iterator[Any]:
    """The fixture definitions that a test uses, those with the widest scope first.

    Args:
        item: The test.
        name: Only those of this name: one that overrides another may ask for it.
    """
    definitions = item._fixtureinfo.name2fixturedefs
    for fixturename in item.fixturenames if name is None else (name,):
        for fixturedef in reversed(definitions.get(fixturename, ())):
            yield fixturedef
            if fixturename not in fixturedef.argnames:
                break


def uses_async(item: pytest.Function, name: str, seen: frozenset[str] = frozenset()) -> bool:
    """Whether a fixture is async, or depends on one that is."""
    return any(
        is_async(fixturedef)
        or any(
            uses_async(item, argument, seen | {name})
            for argument in fixturedef.argnames
            if argument not in seen and argument != name
        )
        for fixturedef in fixtures_of(item, name)
    )


def scope_of(item: pytest.Function, fixturedef: Any) -> Scope:
    """The scope of a fixture for this test: parametrization may have changed it."""
    callspec = getattr(item, "callspec", None)
    scopes = {} if callspec is None else callspec._arg2scope
    scope: Scope = scopes.get(fixturedef.argname, fixturedef._scope)
    return scope


def node_of(item: pytest.Function, fixturedef: Any) -> Any:
    """The node with which a fixture of this test ends: a class, a module, the session, ..."""
    scope = scope_of(item, fixturedef)
    if scope is Scope.Function:
        return item
    if scope is Scope.Package:
        return get_scope_package(item, fixturedef)
    if scope is Scope.Session:
        return item.session
    return get_scope_node(item, scope) or item
