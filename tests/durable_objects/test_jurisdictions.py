"""Laws of jurisdictions: where an object must stay is part of its id."""

from __future__ import annotations

from typing import Any

import pytest

from emulator.errors import JsTypeError
from emulator.sdk.workers import DurableObject
from emulator.testing import list_durable_object_ids

PLACES = ("eu", "fedramp", "fedramp-high", "us")


class Job(DurableObject):
    """It says where it is."""

    async def where(self) -> Any:
        return [self.ctx.id.jurisdiction, self.ctx.id.name, str(self.ctx.id)]


@pytest.fixture
def in_namespace(with_jobs: Any) -> Any:
    """Gives `in_namespace(scenario)`, which is handed the namespace."""

    def run(scenario: Any, **options: Any) -> Any:
        async def main(mf: Any, _: Any) -> Any:
            return await scenario(mf.get_durable_object_namespace("JOBS"))

        return with_jobs(Job, main, **options)

    return run


@pytest.mark.parametrize("limits", ["paid", "free"])
def test_a_name_is_another_object_in_every_jurisdiction(in_namespace, limits):
    async def scenario(jobs: Any) -> Any:
        parts = [jobs, *(jobs.jurisdiction(place) for place in PLACES)]
        found = [await part.getByName("a").where() for part in parts]
        assert len({hex_id for _, _, hex_id in found}) == 5
        return [(place, name) for place, name, _ in found]

    assert in_namespace(scenario, limits=limits) == [(place, "a") for place in (None, *PLACES)]


def test_an_id_keeps_its_jurisdiction_as_text_and_in_json(in_namespace):
    async def scenario(jobs: Any) -> Any:
        made = jobs.jurisdiction("eu").idFromName("a")
        again = jobs.idFromString(str(made))
        assert again == made
        unique = jobs.newUniqueId(jurisdiction="us")
        assert jobs.jurisdiction("us").newUniqueId().jurisdiction == "us"
        assert jobs.idFromName("a").jurisdiction is None
        return [made.toJSON(), again.toJSON(), unique.jurisdiction]

    assert in_namespace(scenario) == [
        {"name": "a", "jurisdiction": "eu"},
        {"jurisdiction": "eu"},
        "us",
    ]


def test_the_namespace_reaches_all_and_a_jurisdiction_its_own_only(in_namespace):
    async def scenario(jobs: Any) -> Any:
        eu, us = jobs.jurisdiction("eu"), jobs.jurisdiction("us")
        made = eu.idFromName("a")
        await jobs.get(made).where()
        await jobs.getByName("a").where()
        for other in (us, eu):
            foreign = made if other is us else jobs.idFromName("a")
            with pytest.raises(JsTypeError) as caught:
                other.get(foreign)
            assert caught.value.message == (
                "get called on jurisdictional subnamespace with an ID from a different "
                "jurisdiction"
            )
        assert us.jurisdiction(None) is jobs
        assert repr(eu) == "<DurableObjectNamespace JOBS in eu, 1 objects>"
        return [len(await list_durable_object_ids(part)) for part in (jobs, eu, us)]

    assert in_namespace(scenario) == [2, 1, 0]


def test_a_jurisdiction_that_is_none_is_refused(in_namespace):
    async def scenario(jobs: Any) -> Any:
        for wrong in (
            lambda: jobs.jurisdiction("moon"),
            lambda: jobs.newUniqueId({"jurisdiction": "moon"}),
        ):
            with pytest.raises(JsTypeError, match="there is no jurisdiction 'moon': eu, fed"):
                wrong()
        with pytest.raises(JsTypeError, match="of the jurisdiction 'eu' cannot make an id in"):
            jobs.jurisdiction("eu").newUniqueId(jurisdiction="us")
        return True

    assert in_namespace(scenario)
