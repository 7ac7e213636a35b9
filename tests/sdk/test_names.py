"""The names of Cloudflare's package, compared with those it has (recorded from 1.9.5)."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest

import emulator.sdk.workers as ours

RECORDING = (
    Path(__file__).parents[2] / "fixtures" / "recordings" / "workers-runtime-sdk-1.9.5.json"
)
REFERENCE = json.loads(RECORDING.read_text(encoding="utf-8"))
MEMBERS = [
    (class_name, member)
    for class_name, members in REFERENCE["classes"].items()
    for member in members
]


def test_every_public_name_of_the_package_is_there() -> None:
    assert set(REFERENCE["names"]) <= set(ours.__all__)
    assert all(hasattr(ours, name) for name in ours.__all__)


@pytest.mark.parametrize(("class_name", "member"), MEMBERS)
def test_every_member_of_its_classes_is_there_and_takes_the_same(
    class_name: str, member: str
) -> None:
    expected: Any = REFERENCE["classes"][class_name][member]
    cls = getattr(ours, class_name)
    if expected == "property":
        # An attribute that the constructor sets serves as well.
        assert (
            hasattr(cls, member)
            or member in inspect.get_annotations(cls)
            or hasattr(_example(class_name), member)
        )
        return
    function = inspect.unwrap(getattr(cls, member))
    parameters = [p for p in inspect.signature(function).parameters if p != "self"]
    takes_any = any(
        p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        for p in inspect.signature(function).parameters.values()
    )

    assert parameters[: len(expected["parameters"])] == expected["parameters"] or takes_any
    assert inspect.iscoroutinefunction(function) == expected["is_async"]


def _example(class_name: str) -> Any:
    if class_name == "Request":
        return ours.Request("http://x/")
    return getattr(ours, class_name)("x")


def test_the_names_are_one_and_the_same_under_every_way_to_them() -> None:
    import js
    import workers
    from pyodide.ffi import JsException

    from emulator.errors import JsException as raised

    assert workers.DurableObject is ours.DurableObject
    assert workers.Response is js.Response
    assert JsException is raised


def test_the_decorator_for_handlers_gives_back_what_it_is_handed() -> None:
    assert ours.handler(len) is len


def test_objects_and_json_are_javascripts() -> None:
    from js import JSON, Object

    parsed = JSON.parse('{"a": {"b": [1, "é"]}}')

    assert parsed.a.b == [1, "é"]
    assert JSON.stringify(parsed) == '{"a":{"b":[1,"é"]}}'
    assert Object.fromEntries([("a", 1)]).a == 1
    assert Object.entries(parsed.a) == [["b", [1, "é"]]]
    assert (Object.new(), Object.keys(parsed)) == ({}, ["a"])


def test_a_module_of_javascript_cannot_be_imported_except_the_platforms_own() -> None:
    module = ours.import_from_javascript("cloudflare:workers")

    assert module.DurableObject is ours.DurableObject
    with pytest.raises(ImportError, match="Failed to import 'node:fs': the emulator runs no"):
        ours.import_from_javascript("node:fs")
