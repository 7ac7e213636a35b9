"""Laws of the fault rules."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from emulator import faults, schedules
from emulator.errors import ConfigurationError, JsException, JsTypeError
from emulator.simulation.clock import Clock
from emulator.simulation.rules import PASS, Operation, RuleSet, UnusedFaultWarning
from emulator.simulation.trace import Trace

HEAD = Operation("BUCKET", "r2.head", "u1/a.txt", "JOBS#1")
GET = Operation("BUCKET", "r2.get", "u1/a.txt", "JOBS#1")
FIRST = Operation("DB", "d1.first", "SELECT 1", "JOBS#1")
RPC = Operation("JOBS", "object.rpc", "start_export", "worker")
FLUSH = Operation("storage", "storage.flush", "", "JOBS#1")
ACK = Operation("alarm", "alarm.ack", "", "JOBS#1")


def in_force(rule: faults.FaultRule) -> Any:
    """The rule with the state that it has in one simulation."""
    return rule.begin(rule_set())


def hits(rule: faults.FaultRule, *operations: Operation) -> list[bool]:
    decider = in_force(rule)
    return [decider.decide(operation) is not None for operation in operations]


def error_of(rule: faults.FaultRule, operation: Operation) -> JsException:
    verdict = in_force(rule).decide(operation)
    assert verdict is not None
    make = verdict.error_before or verdict.error_after
    assert make is not None
    made = make(operation)
    assert isinstance(made, JsException)
    return made


def rule_set() -> RuleSet:
    return RuleSet(Trace(Clock()))


# -- kinds -----------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", [HEAD, GET, FIRST], ids=str)
def test_missing_answers_null_to_head_get_and_first(operation):
    verdict = in_force(faults.missing()).decide(operation)

    assert verdict is not None
    assert verdict.answer is not None
    assert verdict.answer(operation) is None


def test_missing_says_nothing_about_calls_that_cannot_answer_null():
    assert hits(faults.missing(), RPC, FLUSH, GET._replace(name="r2.list")) == [False] * 3


def test_vanish_lets_head_see_what_get_misses():
    assert hits(faults.vanish(key="u1/*"), HEAD, GET) == [False, True]


def test_an_error_before_the_effect_replaces_the_effect():
    verdict = in_force(faults.error()).decide(GET)

    assert verdict is not None
    assert verdict.error_before is not None
    assert verdict.error_after is None


def test_an_error_after_the_effect_replaces_the_answer_only():
    verdict = in_force(faults.error(after_effect=True)).decide(GET)

    assert verdict is not None
    assert verdict.error_before is None
    assert verdict.error_after is not None


def test_every_failed_call_gets_an_error_of_its_own():
    rule = faults.error()

    assert error_of(rule, GET) is not error_of(rule, GET)


def test_latency_is_before_the_effect_unless_it_is_to_be_before_the_arrival():
    before = in_force(faults.latency(timedelta(seconds=1.5))).decide(GET)
    after = in_force(faults.latency(250, after_effect=True)).decide(GET)

    assert before is not None
    assert after is not None
    assert (before.latency_ms, before.answer_latency_ms) == (1500, 0)
    assert (after.latency_ms, after.answer_latency_ms) == (0, 250)


def test_a_latency_of_part_of_a_millisecond_is_a_millisecond():
    verdict = in_force(faults.latency(0.2)).decide(GET)

    assert verdict is not None
    assert verdict.latency_ms == 1


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("operation", [GET, FLUSH, ACK], ids=str)
def test_power_may_fail_before_and_after_calls_flushes_and_acknowledgements(when, operation):
    verdict = in_force(faults.crash(**{when: "*"})).decide(operation)

    assert verdict is not None
    assert verdict.crash == when


def test_a_crash_happens_once_unless_told_otherwise():
    assert hits(faults.crash(), GET, GET, GET) == [True, False, False]
    assert hits(faults.crash(nth=None), GET, GET, GET) == [True, True, True]


# -- the platform's texts --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "retryable"),
    [
        ("r2.get", "get: We encountered an internal error. Please try again. (10001)", False),
        ("r2.head", "head: We encountered an internal error. Please try again. (10001)", False),
        (
            "r2.complete",
            "completeMultipartUpload: We encountered an internal error. "
            "Please try again. (10001)",
            False,
        ),
        (
            "r2.abort",
            "abortMultipartUpload: We encountered an internal error. Please try again. (10001)",
            False,
        ),
        ("r2.body", "Network connection lost.", True),
        ("d1.run", "D1_ERROR: Network connection lost.", False),
        ("d1.exec", "D1_EXEC_ERROR: Error in line 1: x: Network connection lost.", False),
        ("object.fetch", "Network connection lost.", True),
        ("service.fetch", "Network connection lost.", True),
    ],
)
def test_an_error_without_a_text_says_what_the_platform_says(name, text, retryable):
    error = error_of(faults.error(), Operation("B", name, "x"))

    assert error.message == text
    assert error.name == "Error"
    assert error.retryable is retryable


def test_an_error_of_d1_has_its_text_without_prefix_as_its_cause():
    error = error_of(faults.error(operation="d1.*"), FIRST)

    assert error.properties["cause"].message == "Network connection lost."


def test_an_error_bears_the_text_name_and_flags_it_was_given():
    rule = faults.error(
        message="no",
        name="TypeError",
        retryable=True,
        overloaded=True,
        durable_object_reset=True,
    )
    error = error_of(rule, RPC)

    assert isinstance(error, JsTypeError)
    assert error.message == "no"
    assert (error.retryable, error.overloaded, error.durableObjectReset) == (True, True, True)


def test_an_error_with_a_text_of_its_own_is_not_retryable_unless_told():
    assert error_of(faults.error(message="boom"), RPC).retryable is False


# -- selection -------------------------------------------------------------------------------


def test_a_rule_for_one_binding_leaves_the_others_alone():
    assert hits(faults.error(binding="BUCKET"), GET, FIRST) == [True, False]


@pytest.mark.parametrize(
    ("operation", "expected"),
    [("get", [False, True]), ("r2.get", [False, True]), ("r2.*", [True, True]),
     ("?e*", [True, True]), ("r2.h*", [True, False])],
)  # fmt: skip
def test_an_operation_is_named_with_or_without_its_service(operation, expected):
    assert hits(faults.error(operation=operation), HEAD, GET) == expected


@pytest.mark.parametrize(
    ("key", "expected"),
    [("u1/*", True), ("*.txt", True), ("U1/*", False), ("u1/a.txt", True), ("u1", False),
     (lambda key: key.endswith("a.txt"), True), (lambda key: len(key) > 99, False)],
)  # fmt: skip
def test_a_key_is_a_glob_that_minds_case_or_a_predicate(key, expected):
    assert hits(faults.error(key=key), GET) == [expected]


@pytest.mark.parametrize("key", ["a[1].txt", "what?", "*", "tab\there", "ключ/🙂"])
def test_a_key_with_special_characters_matches_itself(key):
    assert hits(faults.error(key=key), GET._replace(key=key)) == [True]


@pytest.mark.parametrize(
    ("nth", "expected"),
    [(None, "111111"), (1, "100000"), (3, "001000"), (range(2, 5), "011100"),
     ({1, 6}, "100001"), ([2], "010000"), (range(1, 99, 2), "101010")],
)  # fmt: skip
def test_nth_chooses_among_the_operations_that_fit(nth, expected):
    rule = in_force(faults.error(operation="get", nth=nth))
    told = []
    for _ in range(6):
        rule.decide(HEAD)  # Does not fit, is not counted.
        told.append("1" if rule.decide(GET) is not None else "0")

    assert "".join(told) == expected


def test_a_rule_counts_alike_beside_a_rule_that_decides_before_it():
    rules = rule_set()
    rules.add(faults.error(message="first", nth=1), faults.error(message="second", nth=2))

    verdicts = [rules.decide(GET), rules.decide(GET), rules.decide(GET)]

    assert [verdict is PASS for verdict in verdicts] == [False, False, True]
    assert rules.unmatched == ()


def test_the_rule_that_was_added_first_decides():
    rules = rule_set()
    rules.add(faults.error(message="first"), faults.error(message="second"))
    verdict = rules.decide(GET)

    assert verdict.error_before is not None
    assert str(verdict.error_before(GET)) == "Error: first"
    assert len(rules.unmatched) == 1


def test_a_rule_counts_from_one_again_in_the_next_simulation():
    rule = faults.error(nth=1)
    for _ in range(3):
        rules = rule_set()
        rules.add(rule)

        assert rules.decide(GET) is not PASS
        assert rules.decide(GET) is PASS


def test_every_injected_fault_is_in_the_trace_with_the_line_that_made_it():
    trace = Trace(Clock())
    rules = RuleSet(trace)
    rules.add(faults.vanish(key="u1/*", nth=1))
    rules.decide(HEAD)
    rules.decide(GET)

    (event,) = trace.of_kind("fault")
    assert event.subject == "BUCKET.r2.get('u1/a.txt')"
    assert event.facts == {"actor": "JOBS#1", "rule": "faults.vanish(key='u1/*', nth=1)"}


def test_a_rule_that_never_decided_is_reported_and_a_removed_one_is_not():
    rules = rule_set()
    used, unused, gone = faults.missing(), faults.error(key="nobody"), faults.error(key="no")
    rules.add(used, unused, gone)
    rules.remove(gone)
    rules.decide(GET)

    assert rules.unmatched == (unused,)
    assert list(rules) == [used, unused]
    with pytest.warns(UnusedFaultWarning, match="nobody"):
        rules.clear()
    assert len(rules) == 0


# -- repr ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        (faults.missing(), "faults.missing()"),
        (faults.missing("B", key="a/*", nth=2), "faults.missing('B', key='a/*', nth=2)"),
        (faults.vanish(key="a"), "faults.vanish(key='a')"),
        (faults.error(), "faults.error()"),
        (
            faults.error(
                message="no", op="get", nth=range(1, 3), after_effect=True, retryable=True
            ),
            "faults.error(op='get', nth=range(1, 3), after_effect=True, message='no', "
            "retryable=True)",
        ),
        (faults.latency(timedelta(seconds=2)), "faults.latency(2000)"),
        (faults.crash("JOBS", after="flush"), "faults.crash('JOBS', after='flush', nth=1)"),
        (faults.restart(nth=None), "faults.restart(nth=None)"),
        (faults.error(nth={3, 1, 2}), "faults.error(nth={1, 2, 3})"),
        (faults.error(key=str.isdigit), "faults.error(key=str.isdigit)"),
    ],
    ids=repr,
)  # fmt: skip
def test_the_repr_of_a_rule_is_the_line_that_made_it(rule, line):
    assert repr(rule) == line


# -- wrong arguments -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: faults.error(nth=0), "nth=0"),
        (lambda: faults.error(nth=-1), "nth=-1"),
        (lambda: faults.error(nth=True), "nth=True"),
        (lambda: faults.error(nth=()), "nth=()"),
        (lambda: faults.error(nth=range(3)), r"nth=range\(0, 3\)"),
        (lambda: faults.error(nth=[1, 0]), r"nth=\[1, 0\]"),
        (lambda: faults.error(nth=cast_any("12")), "nth='12'"),
        (lambda: faults.error(nth=cast_any(1.0)), "nth=1.0"),
        (lambda: faults.error(message=cast_any(7)), "message=7"),
        (lambda: faults.error(name=cast_any(7)), "name=7"),
        (lambda: faults.error(retryable=cast_any(7)), "retryable=7"),
        (lambda: faults.error(overloaded=cast_any(None)), "overloaded=None"),
        (lambda: faults.error(after_effect=cast_any(1)), "after_effect=1"),
        (lambda: faults.error(cast_any(7)), "binding=7"),
        (lambda: faults.error("the disk is full"), "binding='the disk is full'"),
        (lambda: faults.vanish("u1/a.txt"), "binding='u1/a.txt'"),
        (lambda: faults.error(sql=cast_any(7)), "sql=7"),
        (lambda: faults.vanish(sql="SELECT*"), "sql="),
        (lambda: faults.error(object=cast_any(7)), "object=7"),
        (lambda: faults.error(probability=0), "probability=0"),
        (lambda: faults.error(probability=1.01), "probability=1.01"),
        (lambda: faults.error(probability=float("nan")), "probability=nan"),
        (lambda: faults.error(times=0), "times=0"),
        (lambda: faults.error(during=(5, 5)), r"during=\(5, 5\)"),
        (lambda: faults.error(during=cast_any(5)), "during=5"),
        (lambda: faults.error(during=cast_any((1, "soon"))), "during="),
        (lambda: faults.truncate(kept_bytes=-1), "kept_bytes=-1"),
        (lambda: faults.corrupt_size(by_bytes=0), "by_bytes=0"),
        (lambda: faults.status("AUTH", 302), "status=302"),
        (lambda: faults.latency((5, 1)), r"delay=\(5, 1\)"),
        (lambda: faults.late_alarm("JOBS", -1), "delay=-1"),
        (lambda: faults.error(key=cast_any(7)), "key=7"),
        (lambda: faults.error(op=cast_any(7)), "op=7"),
        (lambda: faults.latency(-1), "delay=-1"),
        (lambda: faults.latency(float("nan")), "delay=nan"),
        (lambda: faults.latency(float("inf")), "delay=inf"),
        (lambda: faults.latency(cast_any("1s")), "delay='1s'"),
        (lambda: faults.latency(timedelta(seconds=-1)), "delay=datetime"),
    ],
)
def test_a_wrong_argument_is_named_with_what_it_must_be(make, argument):
    with pytest.raises(ConfigurationError, match=rf"{argument}.*must be"):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: faults.error(operation="r2.fetch"),
        lambda: faults.error(operation="Get"),
        lambda: faults.error(operation="storage.flush"),
        lambda: faults.missing(operation="put"),
    ],
)
def test_an_operation_that_no_call_has_is_refused_with_the_known_names(make):
    with pytest.raises(ConfigurationError, match=r"op=.*one of .*r2\.get"):
        make()


@pytest.mark.parametrize(
    ("make", "instead"),
    [
        (lambda: faults.crash("before"), 'before="storage.flush" or after="r2.put"'),
        (lambda: faults.crash("JOBS", **cast_any({"op": "put"})), 'before="storage.flush"'),
        (lambda: faults.crash("JOBS", before="put", after="put"), "one of the two"),
        (lambda: faults.error("DB", **cast_any({"when": "after"})), "say after_effect=True"),
        (lambda: faults.error("DB", **cast_any({"time": 3})), "did you mean 'times'"),
    ],
)
def test_another_spelling_is_told_with_the_right_one(make, instead):
    with pytest.raises(ConfigurationError) as caught:
        make()

    assert instead in str(caught.value)


def cast_any(value: object) -> Any:
    """A value of a type which the signature forbids."""
    return value


def test_the_public_schedules_are_the_calm_one_and_the_random_one():
    assert repr(schedules.fifo()) == "schedules.fifo()"
    assert repr(schedules.random(7)) == "schedules.random(7)"
