"""Laws of rules as values, and of what they select."""

from __future__ import annotations

import datetime
import json
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator import faults
from emulator.errors import ConfigurationError
from emulator.faults import FaultRule, from_json
from emulator.simulation.clock import START_MS_DEFAULT, Clock
from emulator.simulation.randomness import Randomness
from emulator.simulation.rules import Operation, RuleSet
from emulator.simulation.trace import Trace

GET = Operation("BUCKET", "r2.get", "u1/a.txt", "JOBS#1", "")
RUN = Operation("DB", "d1.run", "UPDATE  jobs\n SET x = 1;", "JOBS#1")
RPC = Operation("JOBS", "object.rpc", "start", "worker", "JOBS#2")
FLUSH = Operation("storage", "storage.flush", "", "JOBS#1")

NAMES = st.sampled_from(["DB", "BUCKET", "JOBS", "AUTH"])
GLOBS = st.text(st.sampled_from("ab/*?[]é🙂'\"\\ \n{}"), max_size=8)
NUMBERS = st.one_of(
    st.integers(1, 9),
    st.builds(range, st.integers(1, 5), st.integers(6, 30), st.integers(1, 3)),
    st.sets(st.integers(1, 9), min_size=1),
    st.lists(st.integers(1, 9), min_size=1),
)
MOMENTS = st.one_of(
    st.none(),
    st.integers(0, 10**9),
    st.timedeltas(timedelta(0), timedelta(days=9)),
)
ABSOLUTE = st.datetimes(
    datetime.datetime(2026, 1, 1),  # noqa: DTZ001  Naive is UTC.
    datetime.datetime(2027, 1, 1),  # noqa: DTZ001
)


@st.composite
def windows(draw: Any) -> tuple[Any, Any] | None:
    start, end = draw(st.one_of(st.tuples(MOMENTS, MOMENTS), st.tuples(ABSOLUTE, ABSOLUTE)))
    try:
        faults.error(during=(start, end))
    except ConfigurationError:
        return None  # Empty.
    return start, end


WHERE: dict[str, st.SearchStrategy[Any]] = {
    "key": st.none() | GLOBS,
    "object": st.none() | GLOBS,
    "nth": st.none() | NUMBERS,
    "during": windows(),
    "probability": st.none() | st.floats(0, 1, exclude_min=True),
    "times": st.none() | st.integers(1, 9),
}
TEXTS = st.text(max_size=5)
DELAYS = st.one_of(
    st.integers(0, 10**6),
    st.floats(0, 10**6),
    st.timedeltas(timedelta(0), timedelta(days=1)),
    st.tuples(st.integers(0, 5), st.integers(5, 9)),
)
#: The arguments that each function has beside those that say where.
OWN: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "missing": {"op": st.sampled_from(["get", "r2.*", "BUCKET.r2.head"])},
    "vanish": {},
    "error": {
        "op": st.sampled_from(["get", "r2.*", "d1.run", "DB.*"]),
        "sql": st.none(),
        "after_effect": st.booleans(),
        "message": st.none() | TEXTS,
        "name": st.sampled_from(["Error", "TypeError"]),
        "retryable": st.none() | st.booleans(),
        "overloaded": st.booleans(),
        "durable_object_reset": st.booleans(),
    },
    "rate_limit": {},
    "overloaded": {"sql": st.none() | GLOBS},
    "reset": {"after_effect": st.booleans()},
    "status": {
        "status": st.integers(400, 599),
        "body": TEXTS,
        "headers": st.none() | st.dictionaries(st.sampled_from("ab"), TEXTS),
    },
    "truncate": {"kept_bytes": st.none() | st.integers(0, 9), "breaks": st.booleans()},
    "corrupt_size": {"by_bytes": st.integers(-9, -1) | st.integers(1, 9)},
    "latency": {"delay": DELAYS, "after_effect": st.booleans()},
    "stall": {"after_effect": st.booleans()},
    "crash": {"before": st.none() | st.sampled_from(["*", "r2.put", "BUCKET.r2.put"])},
    "restart": {"after": st.none() | st.sampled_from(["*", "r2.put", "storage.*"])},
    "evict": {},
    "flush_failure": {"after_effect": st.booleans()},
    "late_alarm": {"delay": st.integers(0, 10**6)},
    "duplicate_alarm": {},
}
REQUIRED = {"delay"}


@st.composite
def calls(draw: Any) -> tuple[str, dict[str, Any]]:
    """A function of `emulator.faults`, and arguments for it."""
    name = draw(st.sampled_from(sorted(OWN)))
    known = {"binding": st.none() | NAMES, **WHERE, **OWN[name]}
    required = REQUIRED & OWN[name].keys()
    chosen = draw(st.sets(st.sampled_from(sorted(known)), max_size=5)) | required
    return name, {argument: draw(known[argument]) for argument in sorted(chosen)}


def made(call: tuple[str, dict[str, Any]]) -> FaultRule:
    name, arguments = call
    rule: FaultRule = getattr(faults, name)(**arguments)
    return rule


def test_every_function_is_tried_here():
    assert set(OWN) == set(faults.__all__) - {"FaultRule", "Where", "from_json"}


# -- values ---------------------------------------------------------------------------------


@given(calls())
def test_the_repr_of_a_rule_makes_it(call):
    rule = made(call)

    assert eval(repr(rule), {"faults": faults}) == rule


@given(calls())
def test_json_goes_out_and_comes_in(call):
    rule = made(call)
    again = from_json(rule.to_json())

    assert again == rule
    assert repr(again) == repr(rule)
    assert from_json(json.loads(rule.to_json())) == rule


@given(calls())
def test_a_rule_made_twice_is_equal_and_one_in_a_set(call):
    name, arguments = call
    rule, other = made(call), made((name, dict(reversed(arguments.items()))))

    assert rule == other
    assert len({rule, other}) == 1


@given(calls(), calls())
def test_rules_that_read_differently_are_not_equal(one, other):
    first, second = made(one), made(other)

    assert (first == second) == (repr(first) == repr(second))


def test_a_rule_is_no_other_value():
    assert faults.missing() != "faults.missing()"


@given(st.permutations([1, 2, 3]), st.sampled_from([list, tuple, set, frozenset]))
def test_a_collection_of_numbers_is_one_value_whatever_holds_it(numbers, kind):
    assert faults.error(nth=kind(numbers)) == faults.error(nth={1, 2, 3})


def test_an_operation_may_be_named_in_full():
    assert faults.error(operation="get") == faults.error(op="get")


def test_a_moment_is_one_value_in_every_spelling():
    in_cet = datetime.timezone(timedelta(hours=1))
    noon = datetime.datetime(2026, 1, 2, 12)  # noqa: DTZ001  Naive is UTC.
    spellings = [
        (timedelta(seconds=5), noon),
        (5_000, noon.replace(tzinfo=datetime.UTC)),
        (5_000.0, datetime.datetime(2026, 1, 2, 13, tzinfo=in_cet)),
        (4_999.5, "2026-01-02T12:00:00Z"),
    ]

    assert len({faults.error(during=during) for during in spellings}) == 1


def test_a_predicate_has_a_name_and_no_json():
    rule = faults.error(key=str.isdigit)

    assert rule == faults.error(key=str.isdigit)
    assert rule != faults.error(key=str.isalpha)
    with pytest.raises(ConfigurationError, match=r"key=str\.isdigit.* give a glob"):
        rule.to_json()


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("", "a rule in JSON is an object"),
        ("[]", "a rule in JSON is an object"),
        ("7", "a rule in JSON is an object"),
        ("{}", "a rule in JSON is an object"),
        ('{"fault": "mising"}', "did you mean 'missing'"),
        ('{"fault": 7}', "there is no fault 7"),
        ('{"fault": "from_json"}', "there is no fault 'from_json'"),
        ('{"fault": "error", "nht": 1}', "did you mean 'nth'"),
        ('{"fault": "error", "nth": 0}', "nth must be a number from 1 on"),
        ('{"fault": "latency"}', "no rule in JSON: .*delay"),
        ('{"fault": "error", "nth": {"from": 1}}', "no rule in JSON"),
        ('{"fault": "error", "nth": {"from": 1, "to": 2, "step": 0}}', "no rule in JSON"),
    ],
)
def test_what_is_no_rule_is_refused_with_the_reason(source, told):
    with pytest.raises(ConfigurationError, match=told):
        from_json(source)


# -- selection ------------------------------------------------------------------------------


def in_force(rule: FaultRule, *, seed: int = 0, clock: Clock | None = None) -> tuple[Any, Any]:
    rules = RuleSet(Trace(clock or Clock()), Randomness(seed))
    rules.object_names.update({"JOBS#1": "user-1", "JOBS#2": "other"})
    return rule.begin(rules), rules


def meets(rule: FaultRule, *operations: Operation) -> list[bool]:
    decider, _ = in_force(rule)
    return [decider.decide(operation) is not None for operation in operations]


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        ("get", [True, False]),
        ("r2.get", [True, False]),
        ("BUCKET.r2.get", [True, False]),
        ("BUCKET.get", [True, False]),
        ("B*.r2.*", [True, False]),
        ("OTHER.r2.get", [False, False]),
        ("DB.*", [False, True]),
        ("*.run", [False, True]),
    ],
)
def test_an_operation_is_named_with_its_binding_or_without(op, expected):
    assert meets(faults.error(op=op), GET, RUN) == expected


@pytest.mark.parametrize(
    ("sql", "is_met"),
    [
        ("UPDATE jobs SET x = 1", True),
        ("update JOBS set x*", True),
        ("UPDATE jobs*", True),
        ("*SET x = ?", True),
        ("UPDATE job", False),
        ("DELETE*", False),
        ("UPDATE\tjobs\nSET x = 1 ;", True),
    ],
)
def test_sql_is_compared_without_its_case_and_its_blanks(sql, is_met):
    assert meets(faults.error(sql=sql), RUN, GET) == [is_met, False]


def test_sql_finds_one_statement_of_a_batch_or_a_script():
    batch = RUN._replace(name="d1.batch", key="INSERT INTO a VALUES (1); UPDATE jobs SET x = 1")
    script = RUN._replace(name="d1.exec", key="INSERT INTO a VALUES (1)\nUPDATE jobs SET x = 1")

    assert meets(faults.error(sql="UPDATE jobs*"), batch, script) == [True, True]
    assert meets(faults.error(sql="UPDATE a*"), batch, script) == [False, False]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("user-1", [True, False, True]),
        ("user-*", [True, False, True]),
        ("other", [False, True, False]),
        ("JOBS#2", [False, True, False]),
        ("JOBS#*", [True, True, True]),
        ("nobody", [False, False, False]),
    ],
)
def test_an_object_is_the_one_that_does_it_or_that_it_is_done_to(name, expected):
    assert meets(faults.latency(1, object=name), GET, RPC, FLUSH) == expected


def test_what_the_runtime_does_is_found_by_the_namespace_of_its_object():
    assert meets(faults.latency(1, "JOBS"), GET, RPC, FLUSH) == [False, True, True]


def test_whose_power_fails_is_said_by_his_namespace():
    assert meets(faults.crash("JOBS", nth=None), GET, RUN, RPC, FLUSH) == [
        True, True, False, True,
    ]  # fmt: skip
    assert meets(faults.crash("worker", nth=None), GET, RPC) == [False, True]


def test_nth_counts_within_the_window():
    clock = Clock()
    decider, _ = in_force(faults.error(nth=2, during=(1_000, 3_000)), clock=clock)
    met = []
    for now_ms in (0, 999, 1_000, 2_999, 3_000):
        clock.move_to(START_MS_DEFAULT + now_ms)
        met.append(decider.decide(GET) is not None)

    assert met == [False, False, False, True, False]


def test_a_window_begins_when_the_rule_is_added():
    clock = Clock()
    clock.move_to(START_MS_DEFAULT + 5_000)
    decider, _ = in_force(faults.error(during=(None, timedelta(seconds=1))), clock=clock)

    assert decider.decide(GET) is not None
    clock.move_to(START_MS_DEFAULT + 6_000)
    assert decider.decide(GET) is None


@pytest.mark.parametrize("tz", [None, datetime.UTC])
def test_a_window_may_be_absolute(tz):
    clock = Clock()
    start = datetime.datetime(2026, 1, 1, 0, 0, 5, tzinfo=tz)
    decider, _ = in_force(faults.error(during=(start, None)), clock=clock)

    assert decider.decide(GET) is None
    clock.move_to(START_MS_DEFAULT + 5_000)
    assert decider.decide(GET) is not None


def test_a_budget_is_spent_by_what_is_met():
    decider, _ = in_force(faults.error(nth=range(2, 99), times=2))

    assert [decider.decide(GET) is not None for _ in range(6)] == [
        False, True, True, False, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize("probability", [0.02, 0.5, 0.98])
def test_a_probability_is_kept_and_decided_by_the_seed(probability):
    def met(seed: int) -> list[bool]:
        decider, _ = in_force(faults.error(probability=probability), seed=seed)
        return [decider.decide(GET) is not None for _ in range(4_000)]

    assert met(1) == met(1)
    assert met(1) != met(2)
    assert abs(sum(met(1)) / 4_000 - probability) < 0.05
    decider, _ = in_force(faults.error(probability=1))
    assert all(decider.decide(GET) for _ in range(100))


def test_a_rule_that_only_chance_kept_from_what_it_met_is_not_called_unused():
    rules = RuleSet(Trace(Clock()))
    unlucky, unused = faults.error("BUCKET", probability=1e-9), faults.error("DB")
    rules.add(unlucky, unused)
    rules.decide(GET)

    assert rules.unmatched == (unused,)


def test_one_rule_serves_two_simulations_at_once():
    rule = faults.error(nth=1)
    (one, _), (other, _) = in_force(rule), in_force(rule)

    assert [one.decide(GET) is None, other.decide(GET) is None, one.decide(GET) is None] == [
        False, False, True,
    ]  # fmt: skip


OPERATIONS = st.builds(
    Operation,
    st.sampled_from(["BUCKET", "DB", "JOBS"]),
    st.sampled_from(["r2.get", "r2.put", "d1.run", "object.rpc"]),
    st.sampled_from(["a", "b", "a/b"]),
    st.sampled_from(["JOBS#1", "worker"]),
    st.sampled_from(["", "JOBS#2"]),
)


@given(
    st.lists(OPERATIONS, max_size=30),
    st.none() | st.sampled_from(["BUCKET", "DB"]),
    st.none() | st.sampled_from(["r2.*", "get", "d1.run"]),
    st.none() | st.sampled_from(["a", "a*", "*b"]),
    st.none() | st.sampled_from(["user-1", "other"]),
    st.none() | st.integers(1, 4) | st.sets(st.integers(1, 6), min_size=1),
    st.none() | st.integers(1, 3),
)
def test_all_of_what_is_given_must_fit(operations, binding, op, key, name, nth, times):
    names = {"JOBS#1": "user-1", "JOBS#2": "other", "worker": "worker", "": ""}
    expected, count, left = [], 0, times
    for one in operations:
        fits = (
            binding in (None, one.binding)
            and (op is None or fnmatchcase(one.name, op if "." in op else f"*.{op}"))
            and (key is None or fnmatchcase(one.key, key))
            and (name is None or name in (names[one.actor], names[one.target]))
        )
        count += fits
        is_chosen = fits and (nth is None or count in ({nth} if isinstance(nth, int) else nth))
        is_met = is_chosen and left != 0
        if is_met and left is not None:
            left -= 1
        expected.append(is_met)

    rule = faults.error(binding, op=op, key=key, object=name, nth=nth, times=times)
    assert meets(rule, *operations) == expected
