"""The packages of the distribution; everything else is in pyproject.toml.

Here, because pyproject cannot say that the type stubs of `workers`, `js` and `pyodide` are
installed as stub-only packages (PEP 561) beside the code: no module of these names is; and
that the Node side of `emulator.workerd` lies elsewhere in the checkout.
"""

import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

STUBS = {
    f"{name}-stubs": f"emulator/sdk/stubs/{name}"
    for name in ("asgi", "js", "pyodide", "workers")
}
NODE_SIDE = Path("fixtures/workerd")
NODE_FILES = (
    *("package.json", "package-lock.json", ".npmrc"),
    *("driver.mjs", "fault_answers.mjs", "faults.mjs", "front.mjs", "operations.mjs"),
    *("shim.mjs", "sockets.mjs"),
)
NODE_FOLDERS = ("amber", "programs")


class BuildWithNodeSide(build_py):
    """Puts the Node side into `emulator/workerd/node`; editable, it stays where it is."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib, "emulator", "workerd", "node")
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for name in NODE_FILES:
            shutil.copyfile(NODE_SIDE / name, target / name)
        for name in NODE_FOLDERS:
            ignored = shutil.ignore_patterns("node_modules", "dist")
            shutil.copytree(NODE_SIDE / name, target / name, ignore=ignored)


setup(
    packages=[*find_packages(include=["emulator*", "amber_worker*"]), *STUBS],
    package_dir=STUBS,
    package_data={name: ["*.pyi"] for name in STUBS},
    cmdclass={"build_py": BuildWithNodeSide},
)
