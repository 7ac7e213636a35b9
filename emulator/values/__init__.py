"""values: what a JavaScript value is in Python, how it is copied, and its bytes.

Promises: `serialize` and `deserialize` (V8's wire format 15, as workerd stores it),
`structured_clone` (a copy by the same rules), `serialized_size` and `serialized_size_at_most`
(how large a message is), and the types `JsDict`, `JsMap`, `undefined`.
Leaves to others: keys and limits of storage, the stubs that functions become.
"""

from __future__ import annotations

from emulator.values.clone import structured_clone
from emulator.values.deserializer import deserialize
from emulator.values.js_map import JsMap
from emulator.values.refusals import refusal
from emulator.values.serializer import serialize, serialized_size
from emulator.values.sizes import RPC_BYTES_MAX, serialized_size_at_most
from emulator.values.undefined import Undefined, undefined
from emulator.web.js_dict import JsDict

__all__ = [
    "RPC_BYTES_MAX",
    "JsDict",
    "JsMap",
    "Undefined",
    "deserialize",
    "refusal",
    "serialize",
    "serialized_size",
    "serialized_size_at_most",
    "structured_clone",
    "undefined",
]
