"""SDK: Cloudflare's Python names over the rooms below.

`finder` makes `workers`, `js` and `pyodide` importable; nothing of these names is at the top
level of the distribution.
"""
