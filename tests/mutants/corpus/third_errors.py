"""Third errors: two things that go wrong are provided for, and the third is not."""

from __future__ import annotations

from corpus.leaks import Uploaded, Uploading
from corpus.planting import World, planted
from corpus.second_accidents import Edited, Editing, ForcedAfterOneConflict, Quorum, Voted
from corpus.second_errors import (
    AbortTriedOnce,
    CompensationTriedOnce,
    DroppedAfterTwoFailures,
    Reported,
    Reporting,
    Sending,
    Sent,
    Travelled,
    Travelling,
    UnreadableIsNothing,
)


@planted("a failed upload is aborted at the second try or never", needs=3, kinds="error")
class AbortTriedTwice(Uploaded):
    class Broken(AbortTriedOnce.Broken):
        tries = 2

    class Repaired(Uploading):
        """The base lets the alarm come again."""


@planted("what cannot be read at the third try counts as nothing", needs=3, kinds="error")
class UnreadableThrice(Reported):
    class Broken(UnreadableIsNothing.Broken):
        tries = 3

    class Repaired(Reporting):
        tries = 3


@planted("what fails three times is dropped, and nobody is told", needs=3, kinds="error")
class DroppedAfterThreeFailures(Sent):
    class Broken(DroppedAfterTwoFailures.Broken):
        attempts_max = 3

    class Repaired(Sending):
        attempts_max = 3


@planted(
    "after two conflicts a write is made without a condition",
    needs=3,
    kinds=("hold", "latency"),
)
class ForcedAfterTwoConflicts(Edited):
    class Broken(ForcedAfterOneConflict.Broken):
        conflicts_max = 2

    class Repaired(Editing):
        """The base never forces."""

    @staticmethod
    async def drive(world: World) -> None:
        await Edited.edit(world, 0, 5, 30, 55)


@planted("a compensation is tried twice, and then forgotten", needs=3, kinds=("error", "crash"))
class CompensationTriedTwice(Travelled):
    class Broken(CompensationTriedOnce.Broken):
        tries = 2

    class Repaired(Travelling):
        tries = 2


@planted(
    "a write is acknowledged by two copies of five, and a read asks three",
    needs=3,
    kinds="error",
)
class QuorumOfFiveTooSmall(Voted):
    class Broken(Quorum):
        copies = 5
        enough = 2

    class Repaired(Quorum):
        copies = 5
        enough = 3
