"""Refusals: what asyncio's loops can do and a simulated one cannot.

Promises: each of these methods raises a `SimulationEscape` that names it and says what to
use instead. Leaves to others: the ways out that lead past the loop (the ambient room).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, NoReturn

from emulator.errors import SimulationEscape

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Refusals"]

_NAMES: Final = (
    "add_reader", "add_signal_handler", "add_writer", "connect_accepted_socket",
    "connect_read_pipe", "connect_write_pipe", "create_connection", "create_datagram_endpoint",
    "create_server", "create_unix_connection", "create_unix_server", "getaddrinfo",
    "getnameinfo", "remove_reader", "remove_signal_handler", "remove_writer", "sendfile",
    "sock_accept", "sock_connect", "sock_recv", "sock_recv_into", "sock_recvfrom",
    "sock_recvfrom_into", "sock_sendall", "sock_sendfile", "sock_sendto", "start_tls",
    "subprocess_exec", "subprocess_shell",
)  # fmt: skip


class Refusals:
    """The refused methods of a loop. To be named before asyncio's class among the bases."""


def _run_in_executor(self: Refusals, executor: Any, func: Any, *args: Any) -> NoReturn:
    """Refused: one thread is the law of a simulation.

    Raises:
        SimulationEscape: Always.
    """
    called = "run_in_executor"
    if isinstance(func, partial) and func.args and callable(func.args[0]):
        called, func = "to_thread", func.args[0]  # It runs in a copy of the context.
    name = getattr(func, "__qualname__", type(func).__qualname__)
    message = (
        f"{called}({name}) needs a thread, and a simulation has one thread only: "
        "call the function directly"
    )
    raise SimulationEscape(message)


def _refuser(name: str) -> Callable[..., Any]:
    def refused(self: Refusals, *args: Any, **options: Any) -> NoReturn:
        message = (
            f"loop.{name}() reaches outside the simulation: a worker talks to the world "
            "through its bindings, and a test through dispatch_fetch or mf.client()"
        )
        raise SimulationEscape(message)

    refused.__name__ = name
    refused.__doc__ = "Refused with a SimulationEscape: it would leave the simulation."
    return refused


# Set, not written out: the signatures of asyncio's methods are none of our business.
for _name in _NAMES:
    setattr(Refusals, _name, _refuser(_name))
del _name
setattr(Refusals, "run_in_executor", _run_in_executor)  # noqa: B010  # As above.
