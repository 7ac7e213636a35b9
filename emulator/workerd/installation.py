"""installation: where the Node side is, and what it needs to run.

Promises: the folder of driver.mjs in a checkout and in an installed wheel; what is missing
(Node, or what `npm ci` installs) is one error with the command to run. Leaves to others:
starting it (driver).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

from emulator.errors import NodeMissing

__all__ = [
    "INSTALL_COMMAND",
    "check",
    "checked_modules_folder",
    "install",
    "modules_folder",
    "node_folder",
    "node_path",
]

INSTALL_COMMAND: Final = "python -m emulator.workerd install"
_HERE: Final = Path(__file__).parent
#: What `npm ci` reads.
_PACKAGE_FILES: Final = ("package.json", "package-lock.json", ".npmrc")


def node_folder() -> Path:
    """The folder of driver.mjs: `node` beside this file in a wheel, else the checkout's."""
    shipped = _HERE / "node"
    return shipped if shipped.is_dir() else _HERE.parents[1] / "fixtures" / "workerd"


def modules_folder() -> Path:
    """The folder whose `node_modules` the driver uses, whether it is there or not.

    In a checkout it is the Node side's own. For a wheel it is in the user's cache, since the
    place where packages are installed may not be written to.
    """
    folder = node_folder()
    if folder.parent != _HERE or (folder / "node_modules").is_dir():
        return folder
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    lock = hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()
    return cache / "amber-emulator" / f"workerd-{lock[:16]}"


def node_path() -> str:
    """The path of Node.

    Raises:
        NodeMissing: If it is not on PATH.
    """
    path = shutil.which("node")
    if path is None:
        message = "the real runtime needs Node 20 or newer, and there is no `node` on PATH"
        raise NodeMissing(message)
    return path


def check() -> None:
    """Look whether the real runtime can be started here, before anybody needs it.

    Raises:
        NodeMissing: If Node or its packages are missing; the message says what to run.
    """
    node_path()
    checked_modules_folder()


def checked_modules_folder() -> Path:
    """The same as `modules_folder`, with everything in it.

    Raises:
        NodeMissing: If `npm ci` has not run there, or for another version.
    """
    folder = modules_folder()
    wanted = _json(node_folder() / "package.json")["dependencies"]["miniflare"]
    try:
        found = _json(folder / "node_modules" / "miniflare" / "package.json")["version"]
    except OSError:
        found = "none"
    if found != wanted:
        message = (
            f"the real runtime needs miniflare {wanted} in {folder}, and there is {found}: "
            f"run `{INSTALL_COMMAND}` once"
        )
        raise NodeMissing(message)
    return folder


def _json(path: Path) -> Any:
    return json.loads(path.read_bytes())


def install() -> Path:
    """Run `npm ci` for the Node side.

    Returns:
        The folder that now has `node_modules`.

    Raises:
        NodeMissing: If there is no npm, or it fails.
    """
    npm = shutil.which("npm")
    if npm is None:
        message = "the real runtime needs Node 20 or newer, and there is no `npm` on PATH"
        raise NodeMissing(message)
    source, folder = node_folder(), modules_folder()
    if folder != source:
        folder.mkdir(parents=True, exist_ok=True)
        for name in _PACKAGE_FILES:
            shutil.copyfile(source / name, folder / name)
    done = subprocess.run([npm, "ci", "--no-fund", "--no-audit"], cwd=folder, check=False)
    if done.returncode:
        message = f"`npm ci` failed in {folder}"
        raise NodeMissing(message)
    return folder
