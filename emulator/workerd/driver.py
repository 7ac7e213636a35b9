"""driver: the Node process that runs every real world of this Python process.

Promises: it is started when it is first needed, shared by all loops, and always ended: at
the end of Python, and by itself when Python dies without one. Leaves to others: worlds
(world), where Node's files are (installation).
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import tempfile
import threading
from contextlib import suppress
from typing import IO, Final, final

from emulator.errors import NodeMissing
from emulator.workerd.installation import (
    checked_modules_folder,
    node_folder,
    node_path,
)

__all__ = ["Driver", "close_shared", "node_folder", "shared"]

_END_SECONDS_MAX: Final = 5.0


@final
class Driver:
    """A running driver.

    Starting it blocks for some 0.5 s.

    Attributes:
        url: Where it listens; always on 127.0.0.1.
        token: What every request must bear.

    Raises:
        NodeMissing: If Node or its packages are missing, or the driver does not start.
    """

    def __init__(self) -> None:
        script, modules = node_folder() / "driver.mjs", checked_modules_folder()
        self._owner = os.getpid()
        with tempfile.TemporaryFile() as errors:
            # A group of its own: Ctrl-C is for Python, which ends the driver in order, and
            # what the driver leaves behind can be ended with it.
            self._process = subprocess.Popen(
                [node_path(), str(script), str(modules)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
            try:
                facts = self._first_line(errors)
            except BaseException:
                self.close()  # Ctrl-C may come while it starts.
                raise
        self.url: str = facts["url"]
        self.token: str = facts["token"]

    def _first_line(self, errors: IO[bytes]) -> dict[str, str]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line:
            facts: dict[str, str] = json.loads(line)
            return facts
        self._process.wait()
        errors.seek(0)
        text = errors.read().decode("utf-8", "replace").strip()
        message = f"the driver of the real runtime did not start: {text}"
        raise NodeMissing(message)

    @property
    def pid(self) -> int:
        """The process id of Node."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it runs, as a child of this very process."""
        return self._owner == os.getpid() and self._process.poll() is None

    def close(self) -> None:
        """End it with all its worlds. Nothing happens the second time."""
        process = self._process
        if self._owner != os.getpid():
            return  # A fork of Python: the driver is not its own.
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(OSError):
            process.stdin.close()  # The driver ends when its standard input does.
        with suppress(subprocess.TimeoutExpired):
            process.wait(_END_SECONDS_MAX)
        # Also when Node is gone already: a workerd that it left behind is in its group.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()

    def __repr__(self) -> str:
        return f"<Driver {self.pid} {'running' if self.is_running else 'ended'}>"


_lock: Final = threading.Lock()
_shared: Driver | None = None


def shared() -> Driver:
    """The driver of this process; started if there is none. It blocks while it starts.

    Raises:
        NodeMissing: If it cannot be started.
    """
    global _shared
    with _lock:
        if _shared is None or not _shared.is_running:
            if _shared is not None:
                _shared.close()
            else:
                atexit.register(close_shared)
            _shared = None
            _shared = Driver()
        return _shared


def close_shared() -> None:
    """End the driver of this process, if there is one."""
    global _shared
    with _lock:
        if _shared is not None:
            _shared.close()
            _shared = None
