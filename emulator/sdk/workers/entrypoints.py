"""Entrypoints: the base classes of what a worker exports.

Promises: `self.ctx` and `self.env` of a subclass, through any constructor that calls
`super().__init__(ctx, env)`; a sentence where it did not. Leaves to others: calling the
handlers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from emulator.errors import DurableObjectAbort

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "DurableObject",
    "DurableObjectAbort",
    "WorkerEntrypoint",
    "WorkflowEntrypoint",
    "handler",
]

F = TypeVar("F", bound="Callable[..., Any]")


class DurableObject:
    """Base class of Durable Objects.

    Args:
        ctx: The object's state: `id`, `storage`, `waitUntil`, `blockConcurrencyWhile`, `abort`.
        env: The worker's bindings, as attributes.
    """

    __workers_rpc__ = True

    def __init__(self, ctx: Any, env: Any) -> None:
        self.ctx = ctx
        self.env = env

    def __getattr__(self, name: str) -> NoReturn:
        raise _no_attribute(self, name)


class WorkerEntrypoint:
    """Base class of workers; the class called `Default` answers requests.

    Args:
        ctx: The execution context: `waitUntil`, `passThroughOnException`.
        env: The worker's bindings, as attributes.
    """

    __workers_rpc__ = True

    def __init__(self, ctx: Any, env: Any) -> None:
        self.ctx = ctx
        self.env = env

    def __getattr__(self, name: str) -> NoReturn:
        raise _no_attribute(self, name)


class WorkflowEntrypoint:
    """Base class of Workflows: such a class loads, and nothing here runs it.

    Args:
        ctx: The execution context.
        env: The worker's bindings, as attributes.
    """

    def __init__(self, ctx: Any, env: Any) -> None:
        self.ctx = ctx
        self.env = env


def _no_attribute(owner: object, name: str) -> AttributeError:
    kind = type(owner).__name__
    if name in ("ctx", "env"):
        message = f"self.{name} is not set: call super().__init__(ctx, env) in {kind}.__init__"
        return AttributeError(message)
    return AttributeError(f"{kind!r} object has no attribute {name!r}", name=name, obj=owner)


def handler(func: F) -> F:
    """The function itself: its arguments are Python objects already."""
    return func
