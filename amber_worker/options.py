"""Options: what `emulator.Miniflare` needs to run this worker.

Promises: the keyword arguments, with D1's schema and a local service in the place of AUTH;
both dialects. `amber_worker.options(...)` and `amber_worker.options.options(...)` are one
function. Leaves to others: everything that runs.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, final

if TYPE_CHECKING:
    from workers import Response

__all__ = ["options", "validate_locally"]

_SCHEMA: Final = Path(__file__).with_name("schema.sql")
_BINDINGS: Final = {"worker": "EXPORT_JOBS", "readme": "EXPORT_JOB"}


def options(*, dialect: str = "worker", **overrides: Any) -> dict[str, Any]:
    """Keyword arguments for `emulator.Miniflare`.

    Args:
        dialect: "worker" (binding EXPORT_JOBS, answers `export_id`) or "readme" (binding
            EXPORT_JOB, answers `exportId` once the export has started).
        overrides: Options of Miniflare. `bindings` and `service_bindings` are added to
            ours, all others replace them.

    Raises:
        ValueError: If there is no such dialect.
    """
    if dialect not in _BINDINGS:
        message = f"dialect must be 'worker' or 'readme', not {dialect!r}"
        raise ValueError(message)
    given = {
        "name": "amber",
        "worker": "amber_worker.worker",
        "durable_objects": {_BINDINGS[dialect]: "ExportJob"},
        "r2_buckets": ["R2_BUCKET"],
        "d1_databases": {"DB": {"schema": _SCHEMA}},
        **overrides,
    }
    given["bindings"] = {"EXPORT_DIALECT": dialect, **overrides.get("bindings", {})}
    services = overrides.get("service_bindings", {})
    given["service_bindings"] = {"AUTH": validate_locally, **services}
    return given


async def validate_locally(request: Any) -> Response:
    """AUTH, as far as a local run needs it: `Authorization: Bearer u1` is the user u1.

    So is the cookie `session=u1`. Anything else is nobody.
    """
    # Not above: whoever asks for the options need not have Cloudflare's names yet.
    from workers import Response

    kind, _, user_id = (request.headers.get("Authorization") or "").partition(" ")
    if kind != "Bearer" or not user_id:
        cookies = (request.headers.get("Cookie") or "").split(";")
        named = [cookie.strip().partition("=") for cookie in cookies]
        user_id = next((value for name, _, value in named if name == "session"), "")
    if not user_id:
        return Response(json.dumps({"valid": False}))
    user = {"id": user_id, "tier": "seedling"}
    return Response(json.dumps({"valid": True, "user": user}))


@final
class _CallableModule(ModuleType):
    """Importing this module sets `amber_worker.options` to it, so it answers a call."""

    def __call__(self, **given: Any) -> dict[str, Any]:
        return options(**given)


sys.modules[__name__].__class__ = _CallableModule
