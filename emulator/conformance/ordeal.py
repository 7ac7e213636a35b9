"""The ordeal: what one random program has to go through.

Promises: everything about it follows from the program's name and a seed: profile of limits,
schedule, faults, and what a test does between and amid the steps. Leaves to others: doing it
(torture), and what each verb of a test does (ordeal_verbs).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, final

from emulator import faults
from emulator.conformance.ordeal_verbs import VERBS
from emulator.conformance.program import Program, checked
from emulator.simulation.randomness import Randomness

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulator.simulation.randomness import Stream
    from emulator.simulation.rules import Rule

__all__ = ["Act", "Ordeal", "ordeal"]

#: So tight that programs meet them.
_TIGHT: Final = {
    "profile": "paid",
    "batch_keys_max": 1,
    "block_concurrency_ms_max": 1,
    "connections_max": 1,
    "key_value_bytes_max": 40,
    "kv_key_bytes_max": 2,
    "kv_value_bytes_max": 2,
    "output_gate_ms_max": 4,
    "rpc_bytes_max": 600,
    "storage_bytes_max": 40_960,
    "subrequests_max": 4,
    "timers_max": 2,
    "websocket_message_bytes_max": 4,
}
_PROFILES: Final = ("workerd", "paid", "paid", "free")
#: What a fault may meet, calls that programs make often.
_CALLS: Final = (
    "object.rpc", "object.fetch", "r2.head", "r2.get", "d1.*", "stub.rpc", "service.fetch",
    "websocket.message", "websocket.close",
)  # fmt: skip
#: What a crash may meet besides.
_INSTANTS: Final = ("storage.flush", "storage.flush", "alarm.deliver", "alarm.ack")
_KINDS: Final = (
    "error", "latency", "flush", "crash", "crash", "restart", "missing", "vanish", "overloaded",
    "reset", "truncate", "corrupt_size", "evict", "flush_failure", "late_alarm",
    "duplicate_alarm",
)  # fmt: skip
_FAULTS_MAX: Final = 3
_NTH_MAX: Final = 4
#: Milliseconds from the beginning of a step to what a test does amid it.
_DELAYS_MS: Final = (None, None, 0, 1, 2, 5, 201)


class Act(NamedTuple):
    """What a test does while a step runs, or after it.

    Attributes:
        verb: Its name.
        after_ms: Milliseconds from the beginning of the step; None waits for its end.
    """

    verb: str
    after_ms: int | None


@final
@dataclass(frozen=True, slots=True)
class Ordeal:
    """What a program has to go through.

    Attributes:
        program: It; maybe with another class than it was drawn with.
        limits: The option of that name.
        seed: Decides every random stream of the run.
        is_shuffled: Whether latencies and ties are drawn, too.
        rules: What fails.
        acts: For each step, what a test does.
    """

    program: Program
    limits: Any
    seed: int
    is_shuffled: bool
    rules: tuple[Rule, ...]
    acts: tuple[Act, ...]

    def __str__(self) -> str:
        acts = ", ".join(f"{act.verb}@{act.after_ms}" for act in self.acts)
        limits = self.limits if isinstance(self.limits, str) else "tight"
        return (
            f"{self.program.name!r} as {self.program.class_name}, limits {limits}, seed "
            f"{self.seed}, {'shuffled' if self.is_shuffled else 'calm'}, {list(self.rules)}, "
            f"{acts}"
        )


def ordeal(program: Program, seed_number: int) -> Ordeal:
    """The ordeal of a program.

    Args:
        program: A drawn one; its name counts.
        seed_number: Decides with it.
    """
    stream = Randomness(seed_number).stream(f"ordeal.{program.name}")
    if program.class_name == "sql" and not stream.randrange(5):
        # What a program asks of pairs is the same; SQL is refused there.
        program = checked({**program.source, "class": "kv"})
    limits: Any = stream.choice(_PROFILES)
    if not stream.randrange(6):
        limits = _TIGHT
    return Ordeal(
        program,
        limits,
        stream.randrange(1_000),
        bool(stream.randrange(2)),
        tuple(_rule(stream) for _ in range(stream.randint(0, _FAULTS_MAX))),
        tuple(
            Act(stream.choice(tuple(VERBS)), stream.choice(_DELAYS_MS)) for _ in program.steps
        ),
    )


def _rule(stream: Stream) -> Rule:
    call = stream.choice(_CALLS)
    nth = stream.randint(1, _NTH_MAX)
    is_after = bool(stream.randrange(2))
    match stream.choice(_KINDS):
        case "error":
            return faults.error(op=call, nth=nth, after_effect=is_after)
        case "latency":
            return faults.latency(stream.choice((1, 5, 300)), op=call, after_effect=is_after)
        case "flush":
            delay = stream.choice((1, 3, 300, 40_000))
            return faults.latency(delay, op="storage.flush", nth=nth)
        case "crash" | "restart" as kind:
            made: Callable[..., Rule] = getattr(faults, kind)
            at = stream.choice((call, *_INSTANTS))
            return made(**{"after" if is_after else "before": at}, nth=nth)
        case "flush_failure":
            return faults.flush_failure(nth=nth, after_effect=is_after)
        case "late_alarm":
            return faults.late_alarm(delay=stream.choice((1, 250, 60_000)), nth=nth)
        case "truncate":
            return faults.truncate(nth=nth, breaks=True)  # A silent end would fool the laws.
        case kind:
            made = getattr(faults, kind)
            return made(nth=nth)
