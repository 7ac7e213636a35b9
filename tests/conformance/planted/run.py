"""Planted deviations: whether the comparison with workerd notices a mistake in the runtime.

Plants the deviations of deviations.toml one at a time in a copy of the runtime, and compares
the copy with workerd: first by the named programs and their recordings; those that nobody
notices so, by random programs, which workerd runs once. Without a deviation there must be no
difference.

    python tests/conformance/planted/run.py [--only WORDS] [--themes THEME ...]
        [--count 2000] [--seed 0] [--named-only | --both] [--jobs 2]

Exit status: 0 enough deviations were caught, 1 too few were, 2 nothing could be said: a
deviation does not apply any more, or the runtime differs from workerd without any.
"""

from __future__ import annotations

import argparse
import compileall
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from difflib import ndiff
from pathlib import Path
from py_compile import PycInvalidationMode
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ROOT: Final = Path(__file__).resolve().parents[3]
FIXTURES: Final = ROOT / "fixtures"
#: How many of a hundred deviations the comparison must notice.
CAUGHT_PERCENT_MIN: Final = 95
#: Seconds that a comparison may take; one that takes longer hangs, which is noticed as well.
NAMED_SECONDS_MAX: Final = 120
RANDOM_SECONDS_MAX: Final = 900
#: How many of a hundred random programs may differ without a deviation.
SET_ASIDE_PERCENT_MAX: Final = 5
RANDOM_SIDE: Final = Path(__file__).with_name("random_side.py")
_COPIED: Final = ("emulator", "fixtures/programs", "fixtures/recordings")
_COMPLAINT: Final = re.compile(r"^program (?P<quote>['\"])(?P<name>.*)(?P=quote), at ", re.M)


@dataclass(frozen=True)
class Deviation:
    """One mistake.

    Attributes:
        breaks: What is wrong with it, in a sentence.
        file: Where it is planted, from the root of the repository.
        old: What stands there; exactly once.
        new: What it becomes.
    """

    breaks: str
    file: str
    old: str
    new: str

    def complaint(self) -> str:
        """Why it cannot be planted; "" if it can."""
        changes = [line[0] for line in ndiff(self.old.splitlines(), self.new.splitlines())]
        if changes.count("+") > 1 or changes.count("-") > 1 or self.old == self.new:
            return f"{self.breaks} It changes more than one line, or none."
        path = ROOT / self.file
        count = path.read_text(encoding="utf-8").count(self.old) if path.is_file() else 0
        if count != 1:
            return f"{self.breaks} Its text stands {count} times in {self.file}, not once."
        return ""

    @contextmanager
    def planted(self, folder: Path) -> Iterator[None]:
        """Make the mistake in a copy, while the block runs."""
        path = folder / self.file
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace(self.old, self.new), encoding="utf-8")
        try:
            yield
        finally:
            path.write_text(text, encoding="utf-8")


def read() -> list[Deviation]:
    """All deviations, in the order of the file."""
    source = tomllib.loads(Path(__file__).with_name("deviations.toml").read_text("utf-8"))
    return [Deviation(**entry) for entry in source["deviation"]]


@contextmanager
def copied() -> Iterator[Path]:
    """A copy of the runtime, with its programs and recordings."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in _COPIED:
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / part, folder / part, ignore=ignored)
        shutil.copy(FIXTURES / "divergences.toml", folder / "fixtures")
        (folder / "fixtures" / "workerd").symlink_to(FIXTURES / "workerd")
        # By the hash of a source: two versions of one size and second are not taken for one.
        mode = PycInvalidationMode.CHECKED_HASH
        compileall.compile_dir(folder / "emulator", quiet=2, invalidation_mode=mode)
        yield folder


def compare_named(folder: Path, themes: Sequence[str]) -> str:
    """What the named programs notice in a copy; "" if nothing.

    Args:
        folder: The copy.
        themes: Of which programs; none are all.
    """
    known = sorted((folder / "fixtures" / "programs").glob("*.json"))
    programs = [path for path in known if not themes or path.stem in themes]
    given = [*map(str, programs), "--against", "recordings", "--exitfirst"]
    command = ["-m", "emulator", "conform", *given]
    status, text, errors = _python(folder, command, NAMED_SECONDS_MAX)
    if status == 0:
        return ""
    found = _COMPLAINT.search(text)
    return _last_line(errors or text) if found is None else repr(found["name"])


class RandomPrograms:
    """Random programs, and what workerd gives for them.

    Args:
        source: A copy of the runtime without a deviation; they are kept in it.
        count: How many programs.
        seed: Decides which they are.

    Attributes:
        error: Why they are of no use; "" if they are.
    """

    def __init__(self, source: Path, count: int, seed: int) -> None:
        self._kept = source / "random.json"
        # Those that differ without a deviation: workerd has more than one outcome of most.
        self._set_aside: frozenset[str] = frozenset()
        given = [str(self._kept), str(count), str(seed)]
        status, _, errors = _python(source, [str(RANDOM_SIDE), "ask", *given])
        self.error = _last_line(errors) if status else ""
        if not self.error:
            self._set_aside = frozenset(self._different(source))
            if len(self._set_aside) * 100 > count * SET_ASIDE_PERCENT_MAX:
                names = sorted(self._set_aside)
                self.error = f"{len(names)} random programs differ, such as {names[0]!r}"

    @property
    def set_aside_count(self) -> int:
        """How many differ without a deviation, and tell nothing."""
        return len(self._set_aside)

    def compare(self, folder: Path) -> str:
        """What they notice in a copy; "" if nothing."""
        count = len(set(self._different(folder)) - self._set_aside)
        return f"{count} random programs" if count else ""

    def _different(self, folder: Path) -> list[str]:
        command = [str(RANDOM_SIDE), "compare", str(self._kept)]
        status, text, errors = _python(folder, command, RANDOM_SECONDS_MAX)
        return text.splitlines() if status == 0 else [_last_line(errors)]


def _python(
    folder: Path, command: list[str], seconds_max: int | None = None
) -> tuple[int, str, str]:
    """Run Python with the runtime of a copy: the status, and what it wrote."""
    try:
        done = subprocess.run(
            [sys.executable, "-B", *command],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(folder), "PYTHONHASHSEED": "0"},
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds_max,
        )
    except subprocess.TimeoutExpired:
        return 1, "", f"it took more than {seconds_max} s"
    return done.returncode, done.stdout, done.stderr


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["nothing was said"])[-1]


class Bench:
    """Copies of the runtime, in which deviations are tried, one in each at a time.

    Args:
        folders: The copies.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._free: SimpleQueue[Path] = SimpleQueue()
        for folder in folders:
            self._free.put(folder)
        self._count = len(folders)

    def try_all(
        self, deviations: Sequence[Deviation], compare: Callable[[Path], str]
    ) -> list[Deviation]:
        """Plant one after the other, and say what notices it.

        Args:
            deviations: Which.
            compare: Tells what notices something in a copy; "" if nothing does.

        Returns:
            Those that nothing noticed.
        """

        def tried(deviation: Deviation) -> str:
            folder = self._free.get()
            try:
                with deviation.planted(folder):
                    return compare(folder)
            finally:
                self._free.put(folder)

        left = []
        with ThreadPoolExecutor(self._count) as pool:
            for deviation, caught in zip(deviations, pool.map(tried, deviations), strict=True):
                how = f"caught by {caught}" if caught else "NOT caught"
                say(f"{how}: {deviation.breaks}")
                if not caught:
                    left.append(deviation)
        return left


def run(options: argparse.Namespace) -> int:
    """Do what the command line asks for; the exit status is the result."""
    deviations = [d for d in read() if options.only.lower() in f"{d.file} {d.breaks}".lower()]
    complaints = [text for d in deviations if (text := d.complaint())]
    if complaints or not deviations:
        say("\n".join(complaints) or f"no deviation has to do with {options.only!r}")
        return 2
    with ExitStack() as stack:
        folders = [stack.enter_context(copied()) for _ in range(options.jobs)]
        wrong = compare_named(folders[0], options.themes)
        if wrong:
            say(f"the runtime differs from workerd without any deviation: {wrong}")
            return 2
        bench = Bench(folders)
        say("by the named programs:")
        left = bench.try_all(deviations, lambda folder: compare_named(folder, options.themes))
        if (left or options.both) and not options.named_only:
            say("asking workerd about the random programs")
            programs = RandomPrograms(folders[0], options.count, options.seed)
            if programs.error:
                say(f"the random programs are of no use: {programs.error}")
                return 2
            say(f"by the random programs, of which {programs.set_aside_count} are set aside:")
            missed = bench.try_all(deviations if options.both else left, programs.compare)
            left = [deviation for deviation in left if deviation in missed]
    count = len(deviations)
    caught_count = count - len(left)
    say(f"{caught_count} of {count} deviations are caught: {caught_count / count:.0%}")
    for deviation in left:
        say(f"NOT caught: {deviation.breaks}")
    return 0 if caught_count * 100 >= count * CAUGHT_PERCENT_MIN else 1


def say(line: str) -> None:
    """Write a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def parsed(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", default="", help="deviations with these words only")
    parser.add_argument("--themes", nargs="+", default=(), help="named programs of these (all)")
    parser.add_argument("--count", type=int, default=2_000, help="random programs (2000)")
    parser.add_argument("--seed", type=int, default=0, help="decides which they are (0)")
    parser.add_argument("--jobs", type=int, choices=(1, 2), default=2, help="at a time (2)")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--named-only", action="store_true", help="no random programs")
    which.add_argument("--both", action="store_true", help="random programs in any case")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(run(parsed()))
