"""undefined: JavaScript's "no value", where it must be told apart from null.

Promises: one object, falsy, equal to itself only, the same after copy and pickle.
Leaves to others: where it matters. Worker code mostly sees None for null and undefined.
"""

from __future__ import annotations

from typing import Final, final

__all__ = ["Undefined", "undefined"]


@final
class Undefined:
    """The type of `undefined`; calling it gives the one instance."""

    __slots__ = ()
    _instance: Undefined | None = None

    def __new__(cls) -> Undefined:
        if cls._instance is None:
            cls._instance = super().__new__(cls)
        return cls._instance

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "undefined"

    def __copy__(self) -> Undefined:
        return self

    def __deepcopy__(self, memo: object) -> Undefined:
        return self

    def __reduce__(self) -> str:
        return "undefined"


undefined: Final = Undefined()
