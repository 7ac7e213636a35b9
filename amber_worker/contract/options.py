"""The options: the contract's part of pytest's command line.

Promises: `amber contract` and `pytest --pyargs amber_worker.contract` know the same options;
what each law has told is on its report, so that it also comes from a worker of xdist. Leaves
to others: what the options mean (target), and the report's form (report).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from amber_worker.contract.command_line import add_options
from amber_worker.contract.report import ContractReport, Verdict
from amber_worker.contract.target import Target, TargetError, choose
from emulator.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["TARGET", "pytest_addoption", "pytest_configure"]

_HERE: Final = Path(__file__).parent
#: Who is judged in this session.
TARGET: Final = pytest.StashKey[Target]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    group = parser.getgroup("amber", "the contract of Amber's export worker")
    add_options(group.addoption)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Choose the target and prepare the report."""
    option = config.getoption
    try:
        target = choose(
            option("emulator_target", default="emulator"),
            script=option("worker_script"),
            config=option("worker_config"),
            environment=option("worker_env"),
            auth=option("worker_auth"),
            schema=option("worker_schema"),
            variables=option("worker_var"),
            dialect=option("worker_dialect"),
            auth_header=option("auth_header"),
            wait_s=option("contract_wait"),
        )
        if target.kind == "workerd":
            _check_real_runtime()
    except (TargetError, ConfigurationError) as error:
        raise pytest.UsageError(str(error)) from error
    config.stash[TARGET] = target
    if not hasattr(config, "workerinput"):  # xdist's own processes do not report.
        path = option("contract_report")
        if path is not None:
            _check_writable(path)
        report = ContractReport(target, path)
        config.pluginmanager.register(report, "amber-contract-report")


def _check_writable(path: str) -> None:
    """Refuse what cannot be written now, and not after minutes of judging."""
    try:
        with Path(path).open("ab"):
            pass
    except OSError as error:
        message = f"--contract-report {path}: it cannot be written: {error.strerror}"
        raise pytest.UsageError(message) from error


def _check_real_runtime() -> None:
    """Say once what is missing, and not once for each law."""
    from emulator.errors import NodeMissing
    from emulator.workerd.installation import check

    try:
        check()
    except NodeMissing as error:
        raise TargetError(str(error)) from error


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Hang the verdict's words on the report."""
    report = yield
    if item.path.parent != _HERE:
        return report
    error = None if call.excinfo is None else call.excinfo.value
    verdict = Verdict.of(item, report, error)
    report.user_properties = [*report.user_properties, ("verdict", verdict.as_facts())]
    return report
