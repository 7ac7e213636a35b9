"""`pyodide`: the bridge's package; its names are in `pyodide.ffi` and `pyodide.http`."""

from __future__ import annotations

from typing import Final

__all__ = ["__version__"]

#: The newest Pyodide that workerd runs Python workers on.
__version__: Final = "0.28.2"
