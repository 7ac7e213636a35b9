"""Utils: reaching the JavaScript side from Python.

Promises: `import_from_javascript` for the one module that Python workers import, and
`patch_env`. Leaves to others: every other module, since no JavaScript runs here.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from emulator.durable_objects.remote_properties import RpcProperty
from emulator.durable_objects.rpc_promise import RpcPromise
from emulator.durable_objects.rpc_stub import RpcStub
from emulator.durable_objects.rpc_target import RpcTarget
from emulator.sdk.environment import env, patch_env, wait_until
from emulator.sdk.workers.entrypoints import DurableObject, WorkerEntrypoint, WorkflowEntrypoint

__all__ = ["import_from_javascript", "patch_env"]


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
        RpcPromise=RpcPromise,
        RpcProperty=RpcProperty,
        RpcStub=RpcStub,
        RpcTarget=RpcTarget,
        env=env,
        waitUntil=wait_until,
    )
