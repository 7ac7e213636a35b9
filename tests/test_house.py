"""The house rules, read from the sources themselves.

Each rule reports `path:line: what, use what instead`.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("emulator", "amber_worker")
FUNCTION_LINES_MAX = 70

#: Floors from the ground up. A module may import from its own floor and from lower ones.
FLOORS = (
    ("emulator.errors", "emulator.hash_seed", "emulator.limits", "emulator.usage"),
    ("emulator.simulation",),
    ("emulator.schedules", "emulator.web"),
    ("emulator.values",),
    ("emulator.sqlite",),
    ("emulator.durable_objects",),
    ("emulator.bindings",),
    ("emulator.catalogue",),
    ("emulator.faults",),
    ("emulator.sdk",),
    ("emulator.runtime",),
    ("emulator.http",),
    ("emulator.workerd",),
    ("emulator.testing",),
    ("emulator.conformance",),
    ("amber_worker",),
)

#: A module or name, and the only places that may import it.
LICENCES = {
    "random": ("emulator/simulation/randomness.py",),
    "secrets": (),
    "uuid": ("emulator/simulation/randomness.py", "amber_worker/worker.py"),
    "apsw": ("emulator/sqlite/",),
    "sqlite3": (),
    "ctypes": ("emulator/sqlite/committed.py",),
    "moto": ("emulator/bindings/r2/",),
    "boto3": ("emulator/bindings/r2/",),
    "botocore": ("emulator/bindings/r2/",),
    "httpx": (
        "emulator/http/",
        "emulator/workerd/",
        "amber_worker/cli.py",
        "amber_worker/cli/",
        "amber_worker/contract/world.py",
    ),
    "pytest": (
        "emulator/testing/pytest_plugin/",
        "amber_worker/contract/",
        "amber_worker/cli/judging.py",
    ),
    "_pytest": ("emulator/testing/pytest_plugin/",),
    "threading": ("emulator/simulation/escapes.py", "emulator/workerd/driver.py"),
    "socket": ("emulator/simulation/escapes.py",),
    "subprocess": (
        "emulator/hash_seed.py",
        "emulator/simulation/escapes.py",
        "emulator/workerd/",
        "amber_worker/chaos/",
        "amber_worker/cli.py",
        "amber_worker/cli/",
    ),
    "freezegun": (),
    "time_machine": ("emulator/simulation/ambient.py",),
    "hypothesis": (
        "emulator/testing/",
        "emulator/conformance/",
        "emulator/simulation/schedules.py",
    ),
}

#: What the worker's own modules may import, so that they would run on Cloudflare.
WORKER_MODULES = re.compile(r"amber_worker/(?!chaos|cli|contract|laws|__init__)")
WORKER_MAY_IMPORT = {"workers", "js", "pyodide", "zipstream", "amber_worker"}

BANNED_CALLS = {
    "time.time": "the clock's now_ms",
    "time.monotonic": "the clock's now_ms",
    "datetime.now": "the clock's now",
    "datetime.utcnow": "the clock's now",
    "id": "a sequence number",
    "os.urandom": "a named random stream",
}
BANNED_CALLS_ALLOWED = {
    # The worker asks Python's clock, as it would on Cloudflare; the runtime holds it.
    "amber_worker/": {"time.time", "datetime.now", "time.monotonic"},
    # Identity during one call, never an order.
    "emulator/values/": {"id"},
    # The key of a generator while it lives; async generators cannot be weak keys.
    "emulator/simulation/graveyard.py": {"id"},
    "emulator/simulation/randomness.py": {"os.urandom"},
    # The real runtime lives in real time.
    "emulator/workerd/": {"time.time"},
}


def sources() -> list[Path]:
    return sorted(p for package in PACKAGES for p in (ROOT / package).rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(tree: ast.Module) -> list[tuple[int, str]]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.append((node.lineno, node.module))
            if node.module in ("emulator", "amber_worker"):
                found += [(node.lineno, f"{node.module}.{a.name}") for a in node.names]
    return found


def floor_of(module: str) -> int | None:
    for index, floor in enumerate(FLOORS):
        if any(module == name or module.startswith(name + ".") for name in floor):
            return index
    return None


def report(complaints: list[str]) -> None:
    assert not complaints, "\n" + "\n".join(complaints)


def test_every_folder_is_a_package() -> None:
    """Others are left out of the wheel."""
    folders = sorted({path.parent for path in sources()})
    assert [name_of(one) for one in folders if not (one / "__init__.py").exists()] == []


def test_imports_go_down_only() -> None:
    complaints = []
    for path in sources():
        here = floor_of(module_of(path))
        if here is None:
            continue  # The front door and `__main__` stand on top of the house.
        for line, imported in imports_of(tree_of(path)):
            there = floor_of(imported)
            if there is not None and there > here:
                complaints.append(f"{name_of(path)}:{line}: imports {imported} from above")
    report(complaints)


def test_a_licensed_module_is_imported_by_its_holders_only() -> None:
    complaints = []
    for path in sources():
        for line, imported in imports_of(tree_of(path)):
            holders = LICENCES.get(imported.split(".")[0])
            if holders is not None and not name_of(path).startswith(holders or ("-",)):
                complaints.append(f"{name_of(path)}:{line}: has no licence for {imported}")
    report(complaints)


def test_only_the_loop_subclasses_an_event_loop() -> None:
    complaints = [
        f"{name_of(path)}:{node.lineno}: subclasses an event loop"
        for path in sources()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ClassDef)
        and any("EventLoop" in ast.unparse(base) for base in node.bases)
        and name_of(path) != "emulator/simulation/loop.py"
    ]
    report(complaints)


def test_the_workers_own_modules_would_run_on_cloudflare() -> None:
    import sys

    complaints = []
    for path in sources():
        if not WORKER_MODULES.match(name_of(path)):
            continue
        for line, imported in imports_of(tree_of(path)):
            top = imported.split(".")[0]
            if top not in WORKER_MAY_IMPORT and top not in sys.stdlib_module_names:
                complaints.append(f"{name_of(path)}:{line}: imports {imported}")
    report(complaints)


def test_nobody_reads_a_real_clock_real_chance_or_an_address() -> None:
    complaints = []
    for path in sources():
        allowed = {
            call
            for prefix, calls in BANNED_CALLS_ALLOWED.items()
            if name_of(path).startswith(prefix)
            for call in calls
        }
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                if called in BANNED_CALLS and called not in allowed:
                    use = BANNED_CALLS[called]
                    complaints.append(f"{name_of(path)}:{node.lineno}: {called}(), use {use}")
    report(complaints)


def test_every_module_has_a_sign_on_the_door() -> None:
    complaints = [
        f"{name_of(path)}:1: no module docstring"
        for path in sources()
        if not ast.get_docstring(tree_of(path))
    ]
    report(complaints)


def test_a_function_fits_on_a_screen() -> None:
    complaints = []
    for path in sources():
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                lines = node.end_lineno - node.lineno + 1
                if lines > FUNCTION_LINES_MAX:
                    complaints.append(
                        f"{name_of(path)}:{node.lineno}: {node.name} has {lines} lines"
                    )
    report(complaints)


@pytest.mark.parametrize("path", sources(), ids=name_of)
def test_every_name_in_all_exists(path: Path) -> None:
    tree = tree_of(path)
    listed: list[str] | None = None
    defined: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            defined.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            defined |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign):
            targets = [node.target]
        names = {t.id for t in targets if isinstance(t, ast.Name)}
        defined |= names
        if "__all__" in names:
            listed = ast.literal_eval(node.value)  # type: ignore[union-attr, arg-type]
    if listed is None:
        is_pytests = path.name == "conftest.py" or path.name.startswith("test_")
        assert is_pytests or path.name in ("__init__.py", "__main__.py"), "no __all__"
        return

    assert set(listed) <= defined  # Their order is ruff's, RUF022.
