"""Usage: how near one world came to each of its limits.

Promises: the most that was seen of each thing that is counted, and where; a report in words.
Counting costs a comparison. Leaves to others: seeing (the rooms that enforce a limit).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from emulator.limits import Limits

__all__ = ["LimitUse", "LimitsReport", "Mark", "Usage"]

#: What is counted, in words, in the order of the report.
_WORDS: Final = {
    "subrequests_max": "subrequests of one invocation",
    "external_subrequests_max": "external subrequests of one invocation",
    "connections_max": "connections at once, of one invocation",
    "alarm_wall_ms_max": "alarm handler, ms",
    "block_concurrency_ms_max": "critical section, ms",
    "output_gate_ms_max": "output gate shut by one flush, ms",
    "timers_max": "timers of one object",
    "rpc_bytes_max": "RPC message, bytes at most",
    "websocket_message_bytes_max": "WebSocket message received, bytes",
    "batch_keys_max": "keys of one call",
    "key_value_bytes_max": "key and value, bytes",
    "kv_key_bytes_max": "key (KV-backed), bytes",
    "kv_value_bytes_max": "value (KV-backed), bytes",
    "row_bytes_max": "value bound in SQL, bytes",
    "storage_bytes_max": "storage of one object, bytes",
}


@final
class Mark:
    """The high-water mark of one thing.

    Attributes:
        most: The most that was seen so far.
        where: Where that was.
    """

    # Of the class, since a world makes many and looks at few.
    most: int = 0
    where: str = ""

    def saw(self, amount: int, where: str) -> None:
        """So much of it was seen there."""
        if amount > self.most:
            self.most, self.where = amount, where

    def __repr__(self) -> str:
        return f"<Mark {self.most} {self.where}>"


class LimitUse(NamedTuple):
    """One line of the report.

    Attributes:
        name: The limit, as in `Limits`.
        limit: The number in force; None if there is none.
        seen: The most that was seen.
        where: Who came so near; "" if it was not seen at all.
        words: What is counted, and its unit.
    """

    name: str
    limit: int | None
    seen: int
    where: str
    words: str

    @property
    def share(self) -> float:
        """The part of the limit that was used; over 1 if more was asked for."""
        return 0.0 if self.limit is None else self.seen / self.limit


@final
class LimitsReport:
    """How near each limit came. Text of it is a table.

    Args:
        profile: The name of the profile.
        items: The limits in the order of the report.
    """

    def __init__(self, profile: str, items: tuple[LimitUse, ...]) -> None:
        self.profile = profile
        self.items = items

    def __iter__(self) -> Iterator[LimitUse]:
        return iter(self.items)

    def __getitem__(self, name: str) -> LimitUse:
        for item in self.items:
            if item.name == name:
                return item
        message = f"no limit {name!r} is counted; there are {', '.join(_WORDS)}"
        raise KeyError(message)

    def __str__(self) -> str:
        rows = [("limit", "seen", "of", "", "where")]
        for item in self.items:
            most = "no limit" if item.limit is None else f"{item.limit:,}"
            share = "" if item.limit is None else f"{item.share:.0%}"
            rows.append((item.words, f"{item.seen:,}", most, share, item.where))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            f"{row[0]:<{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:>{widths[2]}}  "
            f"{row[3]:>{widths[3]}}  {row[4]}".rstrip()
            for row in rows
        ]
        return "\n".join([f"Limits of the profile {self.profile!r}", *lines])

    def __repr__(self) -> str:
        nearest = max(self.items, key=lambda item: item.share)
        return f"<LimitsReport {self.profile!r}, nearest {nearest.name} {nearest.share:.0%}>"


@final
class Usage:
    """What one world has used.

    Args:
        limits: Those in force.

    Attributes:
        before_report: Called to look at what is not counted all the time.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.before_report: list[Callable[[], None]] = []
        self._marks: dict[str, Mark] = {}

    def mark(self, limit: str) -> Mark:
        """The mark of one limit, to be kept by whoever counts it.

        Args:
            limit: Its name in `Limits`.
        """
        found = self._marks.get(limit)
        if found is None:
            assert limit in _WORDS, limit
            found = self._marks[limit] = Mark()
        return found

    def report(self) -> LimitsReport:
        """How near each limit came so far."""
        for look in self.before_report:
            look()
        seen = ((name, words, self.mark(name)) for name, words in _WORDS.items())
        return LimitsReport(
            self.limits.name,
            tuple(
                LimitUse(name, getattr(self.limits, name), mark.most, mark.where, words)
                for name, words, mark in seen
            ),
        )

    def __repr__(self) -> str:
        return f"<Usage of the limits {self.limits.name!r}>"
