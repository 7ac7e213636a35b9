"""Programs that were run on real workerd: ours must come to the same, value by value."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

RECORDING = Path(__file__).parents[3] / "fixtures" / "recordings" / "d1.json"
SAFE_INTEGER_MAX = 2**53 - 1


def js_integer(text: str) -> int | float:
    value = int(text)
    return value if abs(value) <= SAFE_INTEGER_MAX else float(value)


PROGRAMS = json.loads(RECORDING.read_text(encoding="utf-8"), parse_int=js_integer)["programs"]


def ordered(value: Any) -> str:
    """As text, because the order of an object's names counts too."""
    return json.dumps(value, ensure_ascii=False)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program["name"])
def test_a_program_comes_to_what_it_came_to_on_workerd(program, in_world, outcomes_of):
    (step,) = program["steps"]

    async def body(world, db):
        return await outcomes_of(db, step["worker"])

    ours = in_world(body, is_local=True)

    for op, real, our in zip(step["worker"], program["outcomes"], ours, strict=True):
        assert ordered(our) == ordered(real), op
