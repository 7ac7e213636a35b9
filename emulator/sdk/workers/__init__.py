"""`workers`: the names of Cloudflare's Python package for workers.

Promises: every public name of `workers-runtime-sdk` 1.9, so that a worker written for it
imports here; what stands behind a name works as far as the emulator has it. Leaves to
others: everything they do, each in its own room.
"""

from __future__ import annotations

from emulator.errors import DurableObjectAbort
from emulator.sdk.environment import env, fetch, patch_env, wait_until
from emulator.sdk.workers.entrypoints import (
    DurableObject,
    WorkerEntrypoint,
    WorkflowEntrypoint,
    handler,
)
from emulator.sdk.workers.rpc import python_from_rpc, python_to_rpc
from emulator.sdk.workers.types import (
    BlobValue,
    Body,
    Context,
    FetchKwargs,
    FormDataValue,
    JSBody,
    RequestInitCfProperties,
)
from emulator.sdk.workers.utils import import_from_javascript
from emulator.web.blob import Blob, BlobEnding, File
from emulator.web.form_data import FormData
from emulator.web.headers import Headers
from emulator.web.request import Request
from emulator.web.response import FetchResponse, Response

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

waitUntil = wait_until
