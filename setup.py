"""The packages of the distribution; everything else is in pyproject.toml.

Here, because pyproject cannot say that the type stubs of `workers`, `js` and `pyodide` are
installed as stub-only packages (PEP 561) beside the code: no module of these names is.
"""

from setuptools import find_packages, setup

STUBS = {f"{name}-stubs": f"emulator/sdk/stubs/{name}" for name in ("workers", "js", "pyodide")}

setup(
    packages=[*find_packages(include=["emulator*", "amber_worker*"]), *STUBS],
    package_dir=STUBS,
    package_data={name: ["*.pyi"] for name in STUBS},
)
