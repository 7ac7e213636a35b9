"""Randomness: one seed, many independent streams by name.

Promises: a draw from one stream never shifts the luck of another, and the same seed gives
the same numbers in every process. Leaves to others: what is drawn, and why. This is the
only room that imports `random`; `ambient_chance` is how `random`, `uuid`, `secrets` and
`os.urandom` in worker code come to obey the seed too.
"""

from __future__ import annotations

import os
import random
import sys
import uuid
from contextlib import contextmanager
from functools import lru_cache, partial
from hashlib import sha256, shake_256
from typing import TYPE_CHECKING, Any, final

from emulator.simulation.patches import Patches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

__all__ = ["Randomness", "Stream", "ambient_chance"]

#: What `Randomness.stream` gives: a generator of its own for each name.
Stream = random.Random


@final
class Randomness:
    """The named streams of one simulation.

    Args:
        seed: Any integer. It decides every stream.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self._streams: dict[str, Stream] = {}
        #: How often each name was asked for bytes.
        self._draws: dict[str, int] = {}

    def stream(self, name: str) -> Stream:
        """The generator with this name; the same object at each call."""
        stream = self._streams.get(name)
        if stream is None:
            digest = sha256(f"{self.seed}\0{name}".encode()).digest()
            stream = self._streams[name] = Stream(int.from_bytes(digest, "big"))
        return stream

    def token_bytes(self, name: str, size_bytes: int) -> bytes:
        """Random bytes under the name `name`; numbers from its stream shift nothing."""
        # The hash of the number of the draw: a generator costs 20 us to make, and most names
        # are asked for a few bytes once.
        draw = self._draws.get(name, 0)
        self._draws[name] = draw + 1
        return shake_256(f"{self.seed}\0{name}\0{draw}".encode()).digest(size_bytes)

    def token_hex(self, name: str, size_bytes: int) -> str:
        """Random bytes under the name `name`, as lower-case hex digits."""
        return self.token_bytes(name, size_bytes).hex()

    def uuid4(self, name: str) -> str:
        """A random UUID under the name `name`, in its usual form."""
        return str(uuid.UUID(bytes=self.token_bytes(name, 16), version=4))

    def __repr__(self) -> str:
        return f"<Randomness seed={self.seed} streams={sorted(self._streams)}>"


@contextmanager
def ambient_chance(randomness: Randomness, is_inside: Callable[[], bool]) -> Iterator[None]:
    """Make Python's own sources of chance obey the seed while the block runs.

    Covers `os.urandom` (so `uuid.uuid4` too), `os.getrandom`, `ssl.RAND_bytes`, `secrets`,
    `random.SystemRandom`, generators made without a seed, the machine's address in
    `uuid.uuid1`, and the module-level functions of `random`, whose state is put back at the
    end.

    Args:
        randomness: The simulation's streams; those that begin with "ambient" are drawn from.
        is_inside: Whether the present code belongs to the simulation; other threads do not.
    """
    module: Any = random
    state = random.getstate()
    digest = sha256(f"{randomness.seed}\0ambient.random".encode()).digest()
    random.seed(int.from_bytes(digest, "big"))
    _in_force.append(randomness)
    patches = Patches()
    urandom = _urandom(os.urandom, is_inside)
    patches.replace(os, "urandom", urandom)
    # `random` binds `os.urandom` under its own name at import.
    patches.replace(random, "_urandom", urandom)
    if hasattr(os, "getrandom"):
        patches.replace(os, "getrandom", _urandom(os.getrandom, is_inside))
    ssl = sys.modules.get("ssl")
    if ssl is not None:
        patches.replace(ssl, "RAND_bytes", _urandom(ssl.RAND_bytes, is_inside))
    seed = _seed(random.Random.seed, is_inside)
    patches.replace(random.Random, "seed", seed)
    patches.replace(random, "seed", partial(seed, module._inst))
    patches.replace(uuid, "getnode", _getnode(uuid.getnode, is_inside))
    try:
        yield
    finally:
        patches.restore()
        _in_force.pop()
        random.setstate(state)


#: That of the simulation which holds the process.
_in_force: list[Randomness] = []


# Once for each function and process: a module that binds one of them while a simulation runs
# keeps it, and obeys the seed of the next simulation, too.
@lru_cache(maxsize=10)
def _urandom(real: Any, is_inside: Callable[[], bool]) -> Callable[..., bytes]:
    def urandom(size: int, *flags: Any) -> bytes:
        if is_inside():
            name = f"ambient.urandom{_import_under_way()}"
            return _in_force[-1].token_bytes(name, size)
        return bytes(real(size, *flags))

    return urandom


@lru_cache(maxsize=10)
def _seed(real: Any, is_inside: Callable[[], bool]) -> Callable[..., None]:
    def seed(self: random.Random, a: Any = None, version: int = 2) -> None:
        if a is None and is_inside():
            name = f"ambient.seed{_import_under_way()}"
            a = _in_force[-1].stream(name).getrandbits(128)
        real(self, a, version)

    return seed


@lru_cache(maxsize=10)
def _getnode(real: Any, is_inside: Callable[[], bool]) -> Callable[[], int]:
    # The lowest bit of the first octet marks an address that no card has (RFC 9562).
    return lambda: 0x0100_0000_0001 if is_inside() else int(real())


def _import_under_way() -> str:
    """`.<module>` if the code that runs is imported just now, else nothing.

    A module that the process keeps is imported by the first run that needs it. What it draws
    must not shift the luck of that run against the next one's.
    """
    module = ""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_code.co_name != "_run_once":
        if not module and frame.f_code.co_name == "<module>":
            module = str(frame.f_globals.get("__name__", ""))
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return f".{module}"
        frame = frame.f_back
    return ""
