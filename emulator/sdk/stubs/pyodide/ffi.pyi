# What a type checker sees as `pyodide.ffi`; at run time the finder gives the same module.
from emulator.sdk.pyodide.ffi import *  # noqa: F403  # All of them, whatever they are.
