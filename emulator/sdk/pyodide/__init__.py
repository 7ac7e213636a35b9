"""`pyodide`: the bridge's package; its names are in `pyodide.ffi`."""
