# What a type checker sees as `pyodide`; its names are in `pyodide.ffi`.
