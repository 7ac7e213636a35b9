"""The target: who is judged, and how it is started.

Promises: a worker on the emulator, a bundle on workerd, or a deployed worker, each as one
async context manager with the methods of `emulator.Miniflare`; bindings under the names that
the worker's own configuration has, else under all that Amber has used; an option that does not
fit is named. Leaves to others: the runtimes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, final
from urllib.parse import urlsplit

from amber_worker.contract.auth_stubs import answer_outside, answer_service

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["ORIGINS", "Target", "TargetError", "choose"]

#: ALLOWED_ORIGINS of the judged worker.
ORIGINS: Final = ("https://first.example", "https://second.example")
#: The object's binding, in Amber's README and in its worker.
_OBJECT_BINDINGS: Final = {"worker": "EXPORT_JOBS", "readme": "EXPORT_JOB"}
_OBJECT_CLASS: Final = "ExportJob"
_SCHEMA: Final = Path(__file__).parents[1] / "schema.sql"
_COOKIES: Final = ("session", "grove_session")


class TargetError(Exception):
    """The options name no target; the message says what to do."""


@final
@dataclass(frozen=True)
class Target:
    """Who is judged.

    Attributes:
        name: For the report.
        kind: "emulator", "workerd" or "url".
        options: What `Miniflare` is given; empty for a URL.
        origin: What requests' paths are put behind.
        credentials: Makes a user's headers.
        own_headers: The credentials of a deployed worker's one user.
        database: The binding of D1.
        bucket: The binding of R2.
        wait_ms: How long a law waits for an export.
        bindings_told: The object's binding, for the report.
    """

    name: str
    kind: str
    credentials: Callable[[str], dict[str, str]]
    options: dict[str, Any] = field(default_factory=dict)
    origin: str = "http://localhost"
    # Never shown: it may be somebody's real token.
    own_headers: dict[str, str] | None = field(default=None, repr=False)
    database: str = "DB"
    bucket: str = "R2_BUCKET"
    wait_ms: int = 60_000
    bindings_told: str = ""

    @property
    def is_deployed(self) -> bool:
        """Whether it runs where nothing but HTTP reaches it."""
        return self.kind == "url"

    @property
    def scope(self) -> Literal["function", "session"]:
        """How long one world lives: starting one costs nothing on the emulator alone."""
        return "function" if self.kind == "emulator" else "session"

    def handle(self, **bindings: str | None) -> Any:
        """The context manager of one world.

        Args:
            bindings: Variables that replace the target's; None leaves one out.
        """
        if self.is_deployed:
            from emulator.workerd import Deployed

            return Deployed(self.origin)
        if self.kind == "workerd":
            from emulator.workerd import Miniflare
        else:
            from emulator import Miniflare  # type: ignore[assignment]
        merged = {**self.options["bindings"], **bindings}
        given = {name: value for name, value in merged.items() if value is not None}
        return Miniflare(**{**self.options, "bindings": given})


def choose(
    where: str,
    *,
    script: str | None = None,
    config: str | None = None,
    environment: str | None = None,
    auth: str | None = None,
    schema: str | None = None,
    variables: Sequence[str] = (),
    dialect: str = "worker",
    auth_header: str | None = None,
    wait_s: float = 60,
) -> Target:
    """The target that the options mean.

    Args:
        where: "emulator", "workerd" or a URL.
        script: A worker of one's own: a Python module for the emulator, a bundle for workerd.
        config: Its wrangler.toml or wrangler.jsonc.
        environment: The `NAME` of a section `env.NAME` of that; None is the top level.
        auth: "service" (default), "bearer", "cookie" or "cookie:NAME".
        schema: SQL that makes D1's tables; Amber's own if None.
        variables: "NAME=TEXT" each, for its env.
        dialect: Of our own workers: "worker" or "readme".
        auth_header: A deployed worker's credentials: the value of `Authorization`, or
            "Cookie: ..." whole.
        wait_s: How long a law waits for an export, seconds.

    Raises:
        TargetError: If they mean none.
        ConfigurationError: If the configuration is malformed, or binds what is not emulated.
    """
    wait_ms = _milliseconds(wait_s)
    if "://" in where:
        return _deployed(where, auth_header, script or config, wait_ms)
    if where not in ("emulator", "workerd"):
        message = f"--emulator-target must be emulator, workerd or a URL, not {where!r}"
        raise TargetError(message)
    if auth_header is not None:
        message = "--auth-header is for a deployed worker: give --emulator-target its URL"
        raise TargetError(message)
    options = _own_options(where, dialect)
    if script or config or environment:
        options = _foreign_options(where, script, config, environment)
    if schema is not None:
        options["d1_databases"] = {
            name: {"schema": _existing(schema, "--worker-schema")}
            for name in options["d1_databases"]
        }
    credentials = _sign_in(options, auth or "service")
    options["bindings"] = {
        **options.get("bindings", {}),
        "ALLOWED_ORIGINS": ",".join(ORIGINS),
        **_named_texts(variables),
    }
    worker = script or config or f"our own worker, dialect {dialect}"
    return Target(
        name=f"{worker}, on {where}, signed in by {auth or 'service'}",
        kind=where,
        options=options,
        credentials=credentials,
        database=_named(options["d1_databases"], "DB", "D1 database"),
        bucket=_named(options["r2_buckets"], "R2_BUCKET", "R2 bucket"),
        wait_ms=wait_ms,
        bindings_told=" and ".join(options["durable_objects"]),
    )


def _milliseconds(wait_s: float) -> int:
    if not 0 < wait_s < inf:
        message = f"--contract-wait takes seconds above 0, not {wait_s}"
        raise TargetError(message)
    return int(wait_s * 1_000)


def _deployed(url: str, auth_header: str | None, other: str | None, wait_ms: int) -> Target:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        message = f"--emulator-target {url!r} is no http or https URL"
        raise TargetError(message)
    if parts.path.strip("/") or parts.query or parts.username:
        message = "--emulator-target takes a URL without path, query and user: https://HOST"
        raise TargetError(message)
    if other is not None:
        message = f"a deployed worker runs its own code: leave out {other!r}"
        raise TargetError(message)
    if not auth_header:
        message = "a deployed worker needs --auth-header 'Bearer ...', of a user of its own"
        raise TargetError(message)
    name, colon, value = auth_header.partition(": ")
    is_named = bool(colon) and name.lower() in ("authorization", "cookie")
    headers = {name: value} if is_named else {"Authorization": auth_header}
    return Target(
        name=f"{parts.scheme}://{parts.netloc}, deployed",
        kind="url",
        origin=f"{parts.scheme}://{parts.netloc}",
        credentials=lambda _: headers,
        own_headers=headers,
        wait_ms=wait_ms,
    )


def _own_options(where: str, dialect: str) -> dict[str, Any]:
    if dialect not in _OBJECT_BINDINGS:
        message = f"--worker-dialect must be worker or readme, not {dialect!r}"
        raise TargetError(message)
    if where == "emulator":
        import amber_worker

        return dict(amber_worker.options(dialect=dialect))
    from emulator.workerd.driver import node_folder

    return {
        "script_path": Path(node_folder()) / "amber" / "src" / "index.ts",
        "durable_objects": {_OBJECT_BINDINGS[dialect]: _OBJECT_CLASS},
        "bindings": {"EXPORT_DIALECT": dialect},
        **_storage_options(),
    }


def _foreign_options(
    where: str, script: str | None, config: str | None, environment: str | None
) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if config is None and environment is not None:
        message = "--worker-env is a section of a --worker-config: give that too"
        raise TargetError(message)
    if config is not None:
        from emulator.runtime.wrangler import options_from_wrangler

        path = _existing(config, "--worker-config")
        options.update(options_from_wrangler(path, environment))
    if script is not None:
        options["script_path"] = _existing(script, "--worker-script")
    is_python = Path(str(options.get("script_path", ""))).suffix == ".py"
    if is_python != (where == "emulator"):
        right = "emulator" if is_python else "workerd"
        message = f"{options.get('script_path')} runs on --emulator-target {right} only"
        raise TargetError(message)
    if not options.get("durable_objects"):
        # Nobody says which of its names the worker uses: it finds the one it looks for.
        options["durable_objects"] = dict.fromkeys(_OBJECT_BINDINGS.values(), _OBJECT_CLASS)
    for name, value in _storage_options().items():
        options[name] = options.get(name) or value
    # A worker that brings migrations has its tables from them.
    options["d1_databases"] = {
        name: given if "migrations" in given else {"schema": _SCHEMA}
        for name, given in options["d1_databases"].items()
    }
    # Whatever else it is bound to is asked about users, if about anything.
    options["service_bindings"] = dict.fromkeys(
        options.get("service_bindings", ()), answer_service
    )
    return options


def _storage_options() -> dict[str, Any]:
    return {"r2_buckets": ["R2_BUCKET"], "d1_databases": {"DB": {"schema": _SCHEMA}}}


def _sign_in(options: dict[str, Any], way: str) -> Callable[[str], dict[str, str]]:
    """Give a worker the stubs that it asks, and say what headers a user sends."""
    kind, _, cookie = way.partition(":")
    if kind not in ("service", "bearer", "cookie") or (cookie and kind != "cookie"):
        message = f"--worker-auth must be service, bearer, cookie or cookie:NAME, not {way!r}"
        raise TargetError(message)
    services = dict(options.get("service_bindings", {}))
    if kind == "bearer":
        services.pop("AUTH", None)
    else:
        services["AUTH"] = answer_service
    options["service_bindings"] = services
    if kind != "service":
        options["outbound_service"] = answer_outside
    if kind != "cookie":
        return _bearer
    names = (cookie,) if cookie else _COOKIES
    return lambda user_id: {"Cookie": "; ".join(f"{name}={user_id}" for name in names)}


def _bearer(user_id: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {user_id}"}


def _named_texts(given: Sequence[str]) -> dict[str, str]:
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not name or not equals:
            message = f"--worker-var must be NAME=TEXT, not {text!r}"
            raise TargetError(message)
        found[name] = value
    return found


def _existing(path: str, option: str) -> Path:
    found = Path(path).resolve()
    if not found.is_file():
        message = f"{option} {path}: there is no such file"
        raise TargetError(message)
    return found


def _named(bindings: Any, name: str, what: str) -> str:
    names = list(bindings)
    if name in names:
        return name
    if len(names) != 1:
        message = f"which {what} is Amber's: {', '.join(names)}? Bind it as {name}"
        raise TargetError(message)
    return str(names[0])
