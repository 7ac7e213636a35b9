"""RpcTarget: the base class of objects that are passed by reference.

Promises: an instance crosses a stub as a stub of itself, whose methods run where it lives.
Leaves to others: which of its names a caller may reach (the rpc room). Documented by
Cloudflare, Workers RPC, "Class instances"; in Python as far as its own package goes, which
gets it by `import_from_javascript("cloudflare:workers")`.
"""

from __future__ import annotations

__all__ = ["RpcTarget"]


class RpcTarget:
    """Base class of what is called where it lives, instead of being copied.

    A method `__dispose__` (JavaScript's `[Symbol.dispose]`) is called when the last stub of
    an instance is gone.
    """

    __workers_rpc__ = True
    __not_cloned__ = "Remote RPC references can only be serialized for RPC."
