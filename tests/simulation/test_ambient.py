"""Laws of what user code reaches without asking: clocks, chance, and the ways out."""

from __future__ import annotations

import _thread
import asyncio
import concurrent.futures
import multiprocessing
import os
import queue
import random
import secrets
import select
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
import types
import urllib.request
import uuid
from datetime import UTC, date, datetime, timedelta
from typing import Any

import freezegun
import pytest
import time_machine

from emulator.errors import ConfigurationError, SimulationEscape, WorldError
from emulator.simulation.clock import START_MS_DEFAULT
from emulator.simulation.escapes import REFUSED
from emulator.simulation.runner import Simulation, current_simulation, run

#: Bound before any simulation: the machine's own clock.
real_time = time.time


# -- clocks ----------------------------------------------------------------------------------


def test_every_wall_clock_reads_simulated_time_and_follows_each_jump():
    async def main() -> list[object]:
        await asyncio.sleep(90)
        return [
            time.time(),
            time.time_ns(),
            datetime.now(UTC),
            datetime.now(),  # noqa: DTZ005  # Naive on purpose: user code does it.
            datetime.utcnow().isoformat(),  # noqa: DTZ003  # Likewise.
            date.today(),  # noqa: DTZ011  # Likewise.
            time.gmtime().tm_min,
            time.strftime("%Y-%m-%dT%H:%M:%S"),
        ]

    assert run(main, start_time=1_000) == [
        91.0,
        91_000_000_000,
        datetime(1970, 1, 1, 0, 1, 31, tzinfo=UTC),
        datetime(1970, 1, 1, 0, 1, 31),  # noqa: DTZ001
        "1970-01-01T00:01:31",
        date(1970, 1, 1),
        1,
        "1970-01-01T00:01:31",
    ]


test_every_wall_clock_reads_simulated_time_and_follows_each_jump = pytest.mark.filterwarnings(
    "ignore:datetime.datetime.utcnow:DeprecationWarning"
)(test_every_wall_clock_reads_simulated_time_and_follows_each_jump)


def test_the_clocks_of_distance_read_the_loops_time():
    async def main() -> list[float]:
        start = time.monotonic(), time.perf_counter(), time.monotonic_ns()
        await asyncio.sleep(2.5)
        return [
            time.monotonic() - start[0],
            time.perf_counter() - start[1],
            time.monotonic_ns() - start[2],
            time.perf_counter_ns(),
        ]

    assert run(main) == [2.5, 2.5, 2_500_000_000, 2_500_000_000]


def test_a_deadline_polled_against_monotonic_time_is_reached():
    async def main() -> float:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:  # noqa: ASYNC110  # User code does it.
            await asyncio.sleep(1)
        return asyncio.get_running_loop().time()

    assert run(main) == 60


def test_a_simulation_starts_where_it_is_told_and_else_on_a_fixed_day():
    async def main() -> int:
        return time.time_ns() // 1_000_000

    noon = datetime(2030, 5, 1, 12, tzinfo=UTC)
    assert run(main) == START_MS_DEFAULT
    assert run(main, start_time=5) == 5
    assert run(main, start_time=noon) == int(noon.timestamp() * 1000)
    assert run(main, start_time=noon.replace(tzinfo=None)) == int(noon.timestamp() * 1000)
    assert run(
        main, start_time=noon.astimezone(__import__("zoneinfo").ZoneInfo("Asia/Tokyo"))
    ) == int(noon.timestamp() * 1000)


def test_a_frozen_test_starts_the_clock_there_and_jumps_move_frozen_time():
    async def main() -> tuple[datetime, float, str]:
        await asyncio.sleep(3600)
        return (
            datetime.now(UTC),
            time.time(),
            time.strftime("%H:%M"),
        )

    with freezegun.freeze_time("2020-02-29 10:00:00") as frozen:
        now, stamp, told = run(main)
        left = frozen()

    assert now == datetime(2020, 2, 29, 11, tzinfo=UTC)
    assert stamp == now.timestamp()
    assert told == "11:00"
    assert left == datetime(2020, 2, 29, 11)  # noqa: DTZ001  # freezegun's are naive.


def test_a_start_time_wins_over_frozen_time():
    async def main() -> datetime:
        return datetime.now(UTC)

    with freezegun.freeze_time("2020-02-29"):
        assert run(main, start_time=0) == datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("options", [{"tick": True}, {"auto_tick_seconds": 5}], ids=str)
def test_frozen_time_that_ticks_by_itself_is_refused(options):
    async def main() -> None:
        pass

    with (
        freezegun.freeze_time("2020-02-29", **options),
        pytest.raises(ConfigurationError, match="ticks by itself"),
    ):
        run(main)


def test_a_simulation_inside_time_machine_leaves_its_time_as_it_was():
    async def main() -> float:
        await asyncio.sleep(5)
        return time.time()

    with time_machine.travel(1_000, tick=False):
        assert run(main, start_time=0) == 5
        assert time.time() == 1_000


def test_a_time_machine_that_cannot_be_read_from_is_moved_at_each_jump(monkeypatch):
    class Sealed(time_machine.Traveller):
        def time_ns(self) -> int:
            return self._destination_timestamp_ns

    class Stubborn(Sealed):
        def __getattribute__(self, name: str) -> object:
            if name == "time_ns":
                return super(Sealed, self).time_ns.__func__.__get__(self)
            return super().__getattribute__(name)

    def sealed_time_ns(self: Sealed) -> int:
        return self._destination_timestamp_ns

    monkeypatch.setattr(Stubborn, "time_ns", sealed_time_ns)
    monkeypatch.setattr(time_machine, "Traveller", Stubborn)

    async def main() -> list[float]:
        seen = [time.time()]
        await asyncio.sleep(5.5)
        return [*seen, time.time()]

    assert run(main, start_time=1000) == [1, 6.5]


def test_time_does_not_go_back_between_two_runs_of_one_simulation():
    simulation = Simulation(start_time=0)

    async def nap() -> float:
        await asyncio.sleep(1)
        return time.time()

    assert [simulation.run(nap) for _ in range(3)] == [1, 2, 3]
    simulation.close()


# -- chance ----------------------------------------------------------------------------------


async def draw_everything() -> list[object]:
    return [
        random.random(),
        random.randrange(10**9),
        random.Random().random(),
        random.SystemRandom().random(),
        os.urandom(8),
        secrets.token_hex(8),
        secrets.randbelow(10**9),
        uuid.uuid4(),
        uuid.uuid1(),
    ]


def test_every_source_of_chance_follows_the_seed():
    first, again, other = (run(draw_everything, seed=seed) for seed in (1, 1, 2))

    assert first == again
    assert all(one != two for one, two in zip(first[:-1], other[:-1], strict=True))


def test_seeding_without_a_seed_follows_the_seed_of_the_simulation():
    async def main() -> tuple[float, float]:
        random.seed()
        return random.random(), random.random()

    assert run(main) == run(main)
    assert run(main) != run(main, seed=1)


def test_a_seed_of_the_users_own_is_respected():
    async def main() -> float:
        return random.Random(5).random()

    assert run(main) == random.Random(5).random()


def test_the_machines_own_chance_is_put_back():
    before = random.getstate()
    doors = [os.urandom, random.Random.seed, random.seed, uuid.getnode]
    run(draw_everything)

    assert random.getstate() == before
    assert [os.urandom, random.Random.seed, random.seed, uuid.getnode] == doors
    assert uuid.uuid4() != uuid.uuid4()
    assert "seed" not in vars(random.SystemRandom) or True


# -- ways out --------------------------------------------------------------------------------


def _connect() -> None:
    with socket.socket() as door:
        door.connect(("127.0.0.1", 9))


def _bind() -> None:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))


def _datagram() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as door:
        door.sendto(b"x", ("127.0.0.1", 9))


def _pool() -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(int)


def _listen() -> None:
    with socket.socket() as door:
        door.listen()


def _datagram_in_parts() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as door:
        door.sendmsg([b"x"], [], 0, ("127.0.0.1", 9))


def _receive() -> None:
    one, other = socket.socketpair()
    with one, other:
        one.recv(1)


def _spawn() -> None:
    multiprocessing.get_context("spawn").Process(target=int).start()


ESCAPES = {
    "time.sleep": lambda: time.sleep(10),
    "Thread.start": lambda: threading.Thread(target=int).start(),
    "timer thread": lambda: threading.Timer(1, int).start(),
    "thread pool": _pool,
    "socket.connect": _connect,
    "socket.bind": _bind,
    "socket.sendto": _datagram,
    "create_connection": lambda: socket.create_connection(("127.0.0.1", 9)),
    "getaddrinfo": lambda: socket.getaddrinfo("localhost", 80),
    "gethostbyname": lambda: socket.gethostbyname("localhost"),
    "urllib": lambda: urllib.request.urlopen("http://127.0.0.1:9/"),
    "subprocess.run": lambda: subprocess.run(["true"], check=True),
    "subprocess.Popen": lambda: subprocess.Popen(["true"]),
    "os.popen": lambda: os.popen("true"),
    "os.system": lambda: os.system("true"),
    "os.posix_spawnp": lambda: os.posix_spawnp("true", ["true"], os.environ),
    "os.forkpty": lambda: os.forkpty(),
    "start_new_thread": lambda: _thread.start_new_thread(int, ()),
    "multiprocessing": _spawn,
    "socket.listen": _listen,
    "socket.sendmsg": _datagram_in_parts,
    "socket.recv": _receive,
    "gethostbyaddr": lambda: socket.gethostbyaddr("127.0.0.1"),
    "getnameinfo": lambda: socket.getnameinfo(("127.0.0.1", 80), 0),
    "select": lambda: select.select([], [], [], 10),
    "poll": lambda: select.poll(),
    "selectors": lambda: selectors.DefaultSelector(),
    "signal.alarm": lambda: signal.alarm(10),
    "signal.setitimer": lambda: signal.setitimer(signal.ITIMER_REAL, 10),
    "signal.sigtimedwait": lambda: signal.sigtimedwait([signal.SIGUSR1], 10),
    "queue.get": lambda: queue.Queue().get(timeout=10),
    "Future.result": lambda: concurrent.futures.Future().result(10),
}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("escape", ESCAPES.values(), ids=ESCAPES.keys())
def test_a_way_out_of_the_simulation_is_refused_at_the_line_that_asks_for_it(escape):
    async def main() -> None:
        escape()

    start = real_time()
    with pytest.raises(SimulationEscape, match=r"reaches outside the simulation; ") as caught:
        run(main)

    assert real_time() - start < 5
    assert any(entry.path.samefile(__file__) for entry in caught.traceback[1:])


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: asyncio.to_thread(int), r"to_thread\(int\) needs a thread"),
        (
            lambda: asyncio.get_running_loop().run_in_executor(None, _bind),
            r"run_in_executor\(_bind\) needs a thread",
        ),
        (lambda: asyncio.open_connection("127.0.0.1", 9), "create_connection"),
        (lambda: asyncio.create_subprocess_exec("true"), "subprocess_exec"),
    ],
)
def test_what_asyncio_would_do_in_threads_or_outside_is_refused_by_name(call, told):
    async def main() -> None:
        await call()

    with pytest.raises(SimulationEscape, match=told):
        run(main)


def test_what_is_left_of_pythons_clocks_reads_simulated_time_too():
    async def main() -> list[object]:
        await asyncio.sleep(2)
        return [
            time.process_time(), time.thread_time_ns(), os.times().elapsed, time.ctime(),
            time.asctime(), time.clock_gettime(time.CLOCK_MONOTONIC),
            time.clock_gettime_ns(time.CLOCK_REALTIME) // 1_000_000,
        ]  # fmt: skip

    told = "Thu Jan  1 00:00:02 2026"
    expected = [2.0, 2_000_000_000, 2.0, told, told, 2.0, START_MS_DEFAULT + 2_000]
    assert run(main) == expected
    assert time.process_time() != 2.0
    assert time.ctime() != told


def test_names_that_a_workers_module_bound_before_obey_the_simulation_while_it_runs():
    module = types.ModuleType("a_worker")
    exec(
        "from time import monotonic, perf_counter, sleep\nfrom os import urandom", vars(module)
    )
    real = dict(vars(module))

    async def main() -> tuple[Any, ...]:
        current_simulation().hold_module(module)
        with pytest.raises(SimulationEscape, match=r"time\.sleep"):
            module.sleep(10)
        await asyncio.sleep(3)
        return module.monotonic(), module.urandom(4), module.perf_counter() == 3

    first = run(main)
    assert first == run(main)
    assert (first[0], first[2]) == (3, False)
    assert vars(module) == real


def test_a_name_that_was_bound_in_one_simulation_is_right_in_the_next():
    kept: list[Any] = []

    async def bind() -> None:
        kept.extend([time.monotonic, os.urandom])
        await asyncio.sleep(5)

    async def main() -> tuple[float, bytes]:
        return kept[0](), kept[1](4)

    run(bind)
    assert run(main) == run(main)
    assert run(main)[0] == 0
    assert kept[0]() > 0


def test_after_a_run_every_door_is_as_it_was():
    holders = [(holder, name) for holder, name, *_ in REFUSED]
    holders += [(time, name) for name in ("time", "monotonic", "perf_counter", "sleep")]
    before = [(vars(holder).get(name), getattr(holder, name)) for holder, name in holders]

    async def main() -> None:
        assert [getattr(h, n) for h, n in holders] != [real for _, real in before]

    run(main)
    after = [(vars(holder).get(name), getattr(holder, name)) for holder, name in holders]
    assert after == before
    assert abs(time.time() - real_time()) < 60


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_after_a_failed_run_every_door_is_as_it_was_too(error):
    doors = [time.sleep, threading.Thread.start, os.urandom, subprocess.Popen.__init__]

    async def main() -> None:
        raise error

    with pytest.raises(error):
        run(main)
    assert doors == [
        time.sleep, threading.Thread.start, os.urandom, subprocess.Popen.__init__,
    ]  # fmt: skip


def test_other_threads_are_not_concerned():
    seen: list[object] = []
    begin, done = threading.Event(), threading.Event()

    def other() -> None:
        begin.wait(5)
        time.sleep(0)
        with socket.socket() as door:
            door.bind(("127.0.0.1", 0))
        seen.extend([len(os.urandom(4)), time.monotonic() > 0])
        done.set()

    thread = threading.Thread(target=other)
    thread.start()

    async def main() -> bool:
        begin.set()
        return done.wait(5)

    assert run(main)
    thread.join()
    assert seen == [4, True]


def test_a_class_that_is_refused_stays_a_class():
    async def main() -> bool:
        return isinstance(subprocess.Popen, type) and issubclass(socket.socket, object)

    assert run(main)


def test_two_simulations_at_once_in_two_threads_are_refused():
    seen: list[BaseException] = []
    begin, done = threading.Event(), threading.Event()

    async def nothing() -> None:
        pass

    def other() -> None:
        begin.wait(5)
        try:
            run(nothing)
        except WorldError as error:
            seen.append(error)
        done.set()

    thread = threading.Thread(target=other)
    thread.start()

    async def main() -> None:
        begin.set()
        done.wait(5)

    run(main)
    thread.join()
    assert "another simulation" in str(seen[0])


def test_an_hour_of_sleep_between_two_reads_is_an_hour():
    async def main() -> timedelta:
        start = datetime.now(UTC)
        await asyncio.sleep(3600)
        return datetime.now(UTC) - start

    assert run(main) == timedelta(hours=1)


def test_what_a_module_draws_while_it_is_imported_shifts_nobodys_luck(tmp_path, monkeypatch):
    # The first run of a process imports what the next ones find imported.
    module = "import os, random, uuid\nDRAWN = os.urandom(8), uuid.uuid4(), random.Random()\n"
    (tmp_path / "draws_at_import.py").write_text(module)
    monkeypatch.syspath_prepend(tmp_path)

    async def main() -> tuple[bytes, str, float]:
        import draws_at_import

        assert draws_at_import.DRAWN
        return os.urandom(8), str(uuid.uuid4()), random.Random().random()

    assert "draws_at_import" not in sys.modules
    first, second = run(main, seed=3), run(main, seed=3)
    assert first == second
    monkeypatch.delitem(sys.modules, "draws_at_import")
