"""Laws of what Hypothesis draws: it is valid, shrinks to little, and fails alike again."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import find as find_example
from hypothesis import strategies as st
from workers import DurableObject

import emulator
from emulator import faults, schedules
from emulator.errors import ConfigurationError
from emulator.simulation.deviations import At
from emulator.simulation.tokens import read_token
from emulator.sqlite.errors import SqlError
from emulator.testing import strategies

SCHEMA = """
CREATE TABLE files (
  id INTEGER PRIMARY KEY, user_id TEXT NOT NULL REFERENCES users(id), key TEXT UNIQUE,
  size REAL NOT NULL DEFAULT 0, trashed_at TEXT, body BLOB, extra,
  upper_key TEXT GENERATED ALWAYS AS (upper(key)) VIRTUAL
);
CREATE TABLE users (id TEXT PRIMARY KEY, tier VARCHAR NOT NULL CHECK (tier IN ('free', 'oak')));
CREATE INDEX by_user ON files(user_id);
"""
COLUMNS = {
    "tier": st.sampled_from(["free", "oak", "none"]),
    "users.id": st.sampled_from(["u1", "u2"]),
    "user_id": st.sampled_from(["u1", "u2", "nobody"]),
}

few = settings(
    derandomize=True,
    max_examples=60,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
)


class Account(DurableObject):
    """It forgets that others may come between its two awaits."""

    async def pay_in(self, amount: int) -> None:
        balance = await self.ctx.storage.get("balance") or 0
        await self.env.BUCKET.put("log", str(balance))
        await self.ctx.storage.put("balance", balance + amount)

    async def balance(self) -> int:
        return await self.ctx.storage.get("balance") or 0


async def scenario() -> None:
    async with emulator.Miniflare(
        worker=Account, durable_objects={"ACCOUNTS": "Account"}, r2_buckets=["BUCKET"]
    ) as mf:
        account = mf.get_durable_object_namespace("ACCOUNTS").getByName("a")
        for _ in range(2):
            await account.pay_in(5)
        assert await account.balance() == 10


def minimal(strategy: Any, condition: Any) -> Any:
    quick = settings(few, max_examples=500, phases=[Phase.generate, Phase.shrink])
    return find_example(strategy, condition, settings=quick)


# -- deviations --------------------------------------------------------------------------------


@few
@given(strategies.deviations(max_size=4, horizon=50))
def test_deviations_are_few_places_in_order(deviations):
    places = [one.place for one in deviations]

    assert len(places) <= 4
    assert places == sorted(set(places))
    assert all(1 <= place <= 4 * 51 for place in places)


def test_deviations_shrink_to_the_calm_run():
    assert minimal(strategies.deviations(), lambda _: True) == ()
    assert minimal(strategies.deviations(), lambda drawn: len(drawn) == 2) == (At(1), At(2))


@few
@given(strategies.deviations(with_faults=False))
def test_without_faults_operations_are_held_back_only(deviations):
    assert {one.choice for one in deviations} <= {0}


@few
@given(strategies.deviations())
def test_a_run_of_drawn_deviations_is_the_same_each_time(deviations):
    digests = []

    async def quiet() -> None:
        async with emulator.Miniflare(
            worker=Account, durable_objects={"ACCOUNTS": "Account"}, r2_buckets=["BUCKET"]
        ) as mf:
            for _ in range(2):
                try:
                    await mf.get_durable_object_namespace("ACCOUNTS").getByName("a").pay_in(5)
                except Exception as error:
                    digests.append(str(error))
            digests.append(mf.trace.digest())

    for _ in range(2):
        emulator.run(quiet, schedule=schedules.replay(deviations))
    half = len(digests) // 2
    assert digests[:half] == digests[half:]


@pytest.mark.parametrize("options", [{"max_size": 0}, {"horizon": 0}])
def test_numbers_out_of_range_are_refused(options):
    with pytest.raises(ConfigurationError, match="must be 1 or more"):
        strategies.deviations(**options)


def failure_of(test: Any) -> tuple[Exception, str]:
    with pytest.raises(Exception) as caught:
        test()
    return caught.value, "\n".join(getattr(caught.value, "__notes__", ()))


def test_a_property_that_fails_is_left_with_one_deviation_a_token_and_a_test():
    @settings(few, max_examples=200, report_multiple_bugs=False)
    @given(deviations=strategies.deviations())
    def property_of_accounts(deviations):
        emulator.run(scenario, schedule=schedules.replay(deviations))

    error, notes = failure_of(property_of_accounts)
    assert "  1. test lost power before ACCOUNTS.object.rpc('pay_in') took effect" in notes
    assert "  2. " not in notes
    assert "deviations=(At(place=1, choice=1),)" in notes
    assert "def test_scenario_in_a_run_that_failed() -> None:" in notes
    (line,) = re.findall(r"^    emulator\.run\(scenario, .*\)$", notes, re.MULTILINE)
    with pytest.raises(type(error)) as again:
        exec(line.strip(), {"emulator": emulator, "schedules": schedules, "scenario": scenario})
    assert str(again.value) == str(error)


def test_the_token_of_a_failure_names_operations_and_not_places():
    with pytest.raises(Exception) as caught:
        emulator.run(scenario, schedule=schedules.replay([At(1, 1)]))
    (note,) = caught.value.__notes__
    token = re.findall(r"replay: python -m emulator replay (\S+)", note)[0]

    (deviation,) = read_token(token).deviations
    assert deviation.site.operation == "ACCOUNTS.object.rpc"
    with pytest.raises(type(caught.value)):
        emulator.run(scenario, schedule=schedules.replay(token))


def test_a_failure_in_which_nothing_deviated_says_so():
    async def failing() -> None:
        message = "always"
        raise LookupError(message)

    with pytest.raises(LookupError) as caught:
        emulator.run(failing, schedule=schedules.replay([At(9)]))
    assert caught.value.__notes__ == [
        "no deviation came about: this is the calm run, and it fails"
    ]


# -- rules -------------------------------------------------------------------------------------


@few
@given(strategies.fault_rules())
def test_rules_are_those_of_the_faults_and_have_json(rule):
    assert faults.from_json(rule.to_json()) == rule
    assert eval(repr(rule), {"faults": faults}) == rule


def test_every_kind_of_rule_is_drawn_some_time():
    kinds = {"crash", "error", "duplicate_alarm", "evict", "missing", "restart", "truncate"}
    for kind in kinds:
        assert minimal(strategies.fault_rules([kind]), lambda _: True).fault == kind


def test_rules_meet_the_services_that_are_named():
    rules = strategies.fault_rules(["error"], services=["d1"])

    told = repr(minimal(rules, lambda _: True))
    assert "op='d1." in told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"kinds": ["crush"]}, "no kind 'crush'.*did you mean 'crash'"),
        ({"services": ["r3"]}, "no service 'r3'"),
        ({"kinds": ["vanish"], "services": ["d1"]}, "no operation of d1 meets vanish"),
    ],
)
def test_what_there_is_not_is_refused(arguments, told):
    with pytest.raises(ConfigurationError, match=told):
        strategies.fault_rules(**arguments).validate()


# -- worlds ------------------------------------------------------------------------------------


@few
@given(strategies.worlds(r2=["BUCKET"], d1={"DB": SCHEMA}, columns=COLUMNS))
def test_what_is_drawn_goes_into_a_world_as_it_is(tmp_path_factory, content):
    schema = tmp_path_factory.getbasetemp() / "schema.sql"
    schema.write_text(SCHEMA)

    async def main() -> None:
        async with emulator.Miniflare(
            worker=Account, r2_buckets=["BUCKET"], d1_databases={"DB": {"schema": schema}}
        ) as mf:
            await content.put_into(mf)
            for one in content.objects["BUCKET"]:
                stored = await mf.get_r2_bucket("BUCKET").get(one.key)
                assert bytes(await stored.arrayBuffer()) == one.body
            for table, rows in content.rows["DB"].items():
                database = mf.get_d1_database("DB")
                found = (await database.prepare(f"SELECT * FROM {table}").all()).results
                assert len(found) == len(rows)

    emulator.run(main)


def test_rows_fit_their_schema_and_parents_come_first():
    worlds = strategies.worlds(d1={"DB": SCHEMA}, columns=COLUMNS)
    content = minimal(worlds, lambda drawn: bool(drawn.rows["DB"]["files"]))

    assert list(content.rows["DB"]) == ["users", "files"]
    (user,), (file,) = content.rows["DB"]["users"], content.rows["DB"]["files"]
    assert user["tier"] == "free"
    assert file["user_id"] == user["id"]
    assert list(file) == ["id", "user_id", "key", "size", "trashed_at", "body", "extra"]


def test_a_world_shrinks_to_an_empty_one_and_tells_itself():
    worlds = strategies.worlds(r2=["BUCKET"], d1={"DB": SCHEMA})

    told = repr(minimal(worlds, lambda _: True))
    assert told == (
        "WorldContent(objects={'BUCKET': ()}, rows={'DB': {'users': (), 'files': ()}})"
    )
    content = minimal(
        worlds, lambda drawn: any(len(o.body) > 99 for o in drawn.objects["BUCKET"])
    )
    assert "b'\\x00' * 100" in repr(content)


def test_a_schema_that_is_none_is_told():
    with pytest.raises(SqlError, match="syntax error"):
        strategies.worlds(d1={"DB": "CREATE TABEL x"})


@few
@given(strategies.object_keys(prefix="u1/"))
def test_keys_are_such_as_a_bucket_takes(key):
    assert key.startswith("u1/")
    assert len(key.encode()) <= 1_024


def test_hostile_names_are_drawn_and_shrink_to_a_plain_one():
    assert minimal(strategies.hostile_names(), lambda _: True) == "a"
    assert minimal(strategies.hostile_names(), lambda name: "/" in name) == "../a"
