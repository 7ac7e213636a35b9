"""The judge: whether the emulator gives for each program what workerd gave.

Promises: an undeclared difference is a complaint, and so is a declared one that is none any
more. Leaves to others: what a difference is (comparison), what is declared (divergences).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emulator.conformance.comparison import difference

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from emulator.conformance.divergences import Divergence
    from emulator.conformance.program import Program

__all__ = ["complaint"]


def complaint(
    program: Program,
    real: Mapping[str, Any],
    emulated: Mapping[str, Any],
    divergences: Iterable[Divergence],
) -> str:
    """What is wrong with a program's outcome on the emulator; "" if nothing is.

    Args:
        program: Whose outcomes they are.
        real: What workerd gave.
        emulated: What the emulator gave.
        divergences: What is declared.
    """
    text = difference(program, dict(real), dict(emulated))
    declared = next((entry for entry in divergences if program.name in entry.programs), None)
    if declared is None:
        return text
    if text:
        return ""
    return (
        f"program {program.name!r}: the declared difference {declared.id!r} is none any more: "
        "take the program out of fixtures/divergences.toml"
    )
