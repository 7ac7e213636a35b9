"""values: what a JavaScript value is in Python, how it is copied, and its bytes.

Promises: `serialize` and `deserialize` (V8's wire format 15, as workerd stores it),
`structured_clone` (a copy by the same rules), `serialized_size`, `is_surely_within` and
`check_rpc_size` (the size of a message), and the types `JsDict`, `JsMap`, `undefined`.
Leaves to others: keys and limits of storage, the stubs that functions become.
"""

from __future__ import annotations

from emulator.values.clone import (
    RPC_BYTES_MAX,
    check_rpc_size,
    is_surely_within,
    structured_clone,
)
from emulator.values.deserializer import deserialize
from emulator.values.js_map import JsMap
from emulator.values.serializer import serialize, serialized_size
from emulator.values.undefined import Undefined, undefined
from emulator.web.js_dict import JsDict

__all__ = [
    "RPC_BYTES_MAX",
    "JsDict",
    "JsMap",
    "Undefined",
    "check_rpc_size",
    "deserialize",
    "is_surely_within",
    "serialize",
    "serialized_size",
    "structured_clone",
    "undefined",
]
