# What a type checker sees as `pyodide.http`; at run time the finder gives the same module.
from emulator.sdk.pyodide.http import *  # noqa: F403  # All of them, whatever they are.
