"""Patches: attributes of other people's modules, replaced for a while.

Promises: whatever was replaced is put back as it was, in reverse order, an inherited
attribute included. Leaves to others: what is replaced, and by what.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Patches", "own"]

_ABSENT: Final = object()


def own(holder: Any, name: str) -> Any:
    """What a holder has itself under a name; a mark of absence if that is inherited."""
    return vars(holder).get(name, _ABSENT)


@final
class Patches:
    """A list of replacements that can be undone.

    Flat on purpose: a simulation is started hundreds of times a second, and a stack of
    context managers costs more than the replacements themselves.
    """

    __slots__ = ("_undo",)

    def __init__(self) -> None:
        self._undo: list[tuple[Any, str, Any]] = []

    def replace(self, holder: Any, name: str, value: object) -> None:
        """Set `holder.name`, and remember what was there.

        Args:
            holder: A module or a class.
            name: The attribute.
            value: What it is until `restore`.
        """
        # Only what the holder has itself: an inherited attribute is restored by deletion.
        self._undo.append((holder, name, own(holder, name)))
        setattr(holder, name, value)

    def replace_all(self, prepared: Iterable[tuple[Any, str, Any, Any]]) -> list[Any]:
        """Set many attributes that were looked up before.

        Args:
            prepared: Holder, attribute, what is expected there (`own`), and the new value.

        Returns:
            Those of them that somebody else has replaced meanwhile; they are left alone.
        """
        undo, others = self._undo, []
        for entry in prepared:
            holder, name, expected, value = entry
            if holder.__dict__.get(name, _ABSENT) is expected:
                undo.append((holder, name, expected))
                setattr(holder, name, value)
            else:
                others.append(entry)
        return others

    def restore(self) -> None:
        """Put everything back, the latest first."""
        while self._undo:
            holder, name, value = self._undo.pop()
            if value is _ABSENT:
                delattr(holder, name)
            else:
                setattr(holder, name, value)

    def __repr__(self) -> str:
        names = ", ".join(f"{holder.__name__}.{name}" for holder, name, _ in self._undo)
        return f"<Patches {names}>"
