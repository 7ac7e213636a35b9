"""The command line: the contract's options, once for `amber contract` and for pytest.

Promises: names, forms and help of every option. Leaves to others: what they mean (target),
who reads them (options, `amber_worker.cli`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["add_options"]

_OPTIONS: Final[dict[str, dict[str, Any]]] = {
    "--worker-script": {
        "metavar": "FILE",
        "help": "a worker of one's own: a Python module (emulator) or a bundle (workerd)",
    },
    "--worker-config": {
        "metavar": "FILE",
        "help": "its wrangler.toml or wrangler.jsonc: bindings, variables, dates",
    },
    "--worker-env": {
        "metavar": "NAME",
        "help": "the environment [env.NAME] of --worker-config (default: the top level)",
    },
    "--worker-auth": {
        "metavar": "WAY",
        "default": "service",
        "help": "how it knows its users: service (the binding AUTH), bearer (a token that it "
        "checks at an address outside, whose part is played), cookie or cookie:NAME (a "
        "session that it checks in either way) (default: service)",
    },
    "--worker-schema": {
        "metavar": "FILE",
        "help": "SQL for its D1 database (default: Amber's tables)",
    },
    "--worker-var": {
        "metavar": "NAME=TEXT",
        "action": "append",
        "default": [],
        "help": "one more variable or secret that it finds in its env; may be repeated",
    },
    "--worker-dialect": {
        "metavar": "NAME",
        "default": "worker",
        "help": "the dialect of our own workers: worker or readme (default: worker)",
    },
    "--auth-header": {
        "metavar": "VALUE",
        "help": "who asks a deployed worker: 'Bearer ...' or 'Cookie: ...'; use an account "
        "made for this: an export of everything it has is requested",
    },
    "--contract-wait": {
        "metavar": "SECONDS",
        "type": float,
        "default": 60.0,
        "help": "how long a law waits for an export (default: 60)",
    },
    "--contract-report": {
        "metavar": "FILE.md",
        "help": "write every law, and what became of it",
    },
}


def add_options(add_option: Callable[..., Any]) -> None:
    """Declare the options.

    Args:
        add_option: argparse's `add_argument`, or pytest's `addoption`.
    """
    for name, form in _OPTIONS.items():
        add_option(name, **form)
