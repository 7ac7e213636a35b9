"""The disturbance of a run: what its trace excuses."""

from __future__ import annotations

import pytest

from amber_worker.chaos.disturbance import disturbance_of, kind_of
from emulator import faults
from emulator.simulation.trace import TraceEvent

ALARM = TraceEvent(0, "alarm", "EXPORT_JOBS#1", {})


def fault(subject: str, rule: str) -> TraceEvent:
    return TraceEvent(0, "fault", subject, {"rule": rule})


def inject(kind: str) -> str:
    return f"Inject(site=Site(actor='X#1', operation='crash.error', nth=1), kind={kind!r})"


def test_a_calm_run_is_not_disturbed() -> None:
    found = disturbance_of([ALARM])
    assert (found.count, found.may_fail, found.unread) == (0, False, frozenset())


@pytest.mark.parametrize(
    "kind", ["crash before", "restart after", "duplicate", "evict", "late"]
)
def test_what_no_code_can_see_is_no_excuse(kind: str) -> None:
    found = disturbance_of([ALARM, fault("R2_BUCKET.r2.get('k')", inject(kind))])
    assert (found.count, found.may_fail, found.unread) == (1, False, frozenset())


def test_who_is_cut_off_before_the_first_alarm_may_have_told_his_caller() -> None:
    assert disturbance_of([fault("storage.flush", inject("crash after")), ALARM]).may_fail


@pytest.mark.parametrize("kind", ["error before", "missing", "truncate", "stall", "vanish"])
@pytest.mark.parametrize("key", ["k", "it's", 'the "best" of', 'it\'s the "best"'])
def test_a_file_that_was_not_read_may_be_missing(kind: str, key: str) -> None:
    found = disturbance_of([ALARM, fault(f"R2_BUCKET.r2.get({key!r})", inject(kind))])
    assert (found.may_fail, found.unread) == (True, {key})


def test_a_call_that_fails_elsewhere_hides_no_file() -> None:
    found = disturbance_of([ALARM, fault("DB.d1.run('UPDATE t')", inject("error after"))])
    assert (found.may_fail, found.unread) == (True, frozenset())


@pytest.mark.parametrize(
    ("rule", "kind"),
    [
        (repr(faults.crash("R2_BUCKET", after="r2.put")), "crash"),
        (repr(faults.missing("R2_BUCKET", key="u1/*")), "missing"),
        (inject("rate limit"), "rate limit"),
    ],
)
def test_the_kind_of_a_fault_is_that_of_its_rule_or_deviation(rule: str, kind: str) -> None:
    assert kind_of(fault("storage.flush", rule)) == kind
