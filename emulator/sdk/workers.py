"""`workers`: the names of Cloudflare's Python package for workers.

Promises: every public name of `workers-runtime-sdk` 1.9, so that a worker written for it
imports here; what stands behind a name works as far as the emulator has it. Leaves to
others: everything they do. Conversions between Python and JavaScript give back what they
were handed, since there is no JavaScript here.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from emulator.errors import DurableObjectAbort
from emulator.sdk.environment import env, fetch, patch_env, wait_until
from emulator.sdk.types import (
    BlobValue,
    Body,
    Context,
    FetchKwargs,
    FormDataValue,
    JSBody,
    RequestInitCfProperties,
)
from emulator.web.blob import Blob, BlobEnding, File
from emulator.web.form_data import FormData
from emulator.web.headers import Headers
from emulator.web.request import Request
from emulator.web.response import Response

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "Blob",
    "BlobEnding",
    "BlobValue",
    "Body",
    "Context",
    "DurableObject",
    "DurableObjectAbort",
    "FetchKwargs",
    "FetchResponse",
    "File",
    "FormData",
    "FormDataValue",
    "Headers",
    "JSBody",
    "Request",
    "RequestInitCfProperties",
    "Response",
    "WorkerEntrypoint",
    "WorkflowEntrypoint",
    "env",
    "fetch",
    "handler",
    "import_from_javascript",
    "patch_env",
    "python_from_rpc",
    "python_to_rpc",
    "waitUntil",
    "wait_until",
]

F = TypeVar("F", bound="Callable[..., Any]")

waitUntil = wait_until
#: What `fetch` answers; in Cloudflare's package the parent class of Response.
FetchResponse = Response


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


def python_from_rpc(obj: Any) -> Any:
    """The value itself."""
    return obj


def python_to_rpc(value: Any) -> Any:
    """The value itself."""
    return value


def import_from_javascript(module_name: str) -> Any:
    """A module of the JavaScript side.

    Args:
        module_name: "cloudflare:workers" is the one there is.

    Raises:
        ImportError: For any other.
    """
    if module_name != "cloudflare:workers":
        message = f"Failed to import '{module_name}': the emulator runs no JavaScript"
        raise ImportError(message)
    return SimpleNamespace(
        DurableObject=DurableObject,
        WorkerEntrypoint=WorkerEntrypoint,
        WorkflowEntrypoint=WorkflowEntrypoint,
        env=env,
        waitUntil=wait_until,
    )
