"""deserialize: the bytes of V8's wire format as a Python value.

Promises: versions 13 to 15 of the format (V8's value-serializer.cc). Objects are JsDict,
Maps JsMap, arrays list, Dates aware datetimes, byte arrays Uint8Array; a number that is a
safe integer is an int. References give one object again.
Leaves to others: what a missing value means, and who may read it.
"""

from __future__ import annotations

from struct import Struct
from struct import error as struct_error
from typing import TYPE_CHECKING, Any, Final, final

from emulator.errors import JsException, js_error
from emulator.values.conversion import (
    date_of_ms,
    hashable,
    number_of_float,
    pattern_of,
    typed_array,
)
from emulator.values.host_objects import HOST_OBJECT, read_host_object
from emulator.values.js_map import JsMap
from emulator.values.undefined import undefined
from emulator.web.js_dict import JsDict

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["deserialize"]

VERSIONS: Final = (13, 14, 15)
# Ours: a sparse array is given its full length, so a forged one must not fill the memory.
SPARSE_LENGTH_MAX: Final = 10_000_000

_DOUBLE: Final = Struct("<d").unpack_from
#: Stands for an object whose parts are being read.
_UNFINISHED: Final = object()
_ERROR_CLASSES: Final = {
    0x45: "EvalError",
    0x52: "RangeError",
    0x46: "ReferenceError",
    0x53: "SyntaxError",
    0x54: "TypeError",
    0x55: "URIError",
}


def deserialize(data: bytes | bytearray | memoryview) -> Any:
    """The value that was serialized.

    Args:
        data: Header and value, as storage keeps them.

    Raises:
        JsException: Error, if the bytes are no such value.
    """
    source = bytes(data)
    if len(source) < 2 or source[0] != 0xFF or source[1] not in VERSIONS:
        raise js_error(
            "Error",
            "Unable to deserialize cloned data due to invalid or unsupported version.",
        )
    try:
        return _Reader(source).read()
    except JsException:
        raise
    except (IndexError, KeyError, struct_error, ValueError):
        raise _broken() from None
    except RecursionError:
        raise js_error("RangeError", "Maximum call stack size exceeded") from None


def _broken() -> JsException:
    return js_error("Error", "Unable to deserialize cloned data.")


@final
class _Reader:
    """A place in a message, and the objects that were read before it."""

    __slots__ = ("data", "objects", "place", "version")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.version = data[1]
        self.place = 2
        self.objects: list[Any] = []

    def read(self) -> Any:
        tag = self.tag()
        reader = _READERS.get(tag)
        if reader is None:
            raise _broken()
        return reader(self)

    def tag(self) -> int:
        """The next tag; padding before it is passed over."""
        data = self.data
        tag = data[self.place]
        self.place += 1
        while tag == 0:
            tag = data[self.place]
            self.place += 1
        return tag

    def varint(self) -> int:
        data, place = self.data, self.place
        byte = data[place]
        if byte < 0x80:
            self.place = place + 1
            return byte
        number = byte & 0x7F
        shift = 7
        while True:
            place += 1
            byte = data[place]
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                self.place = place + 1
                return number
            shift += 7

    def take(self, size: int) -> memoryview:
        """The next bytes, not copied."""
        end = self.place + size
        if end > len(self.data):
            raise _broken()
        part = memoryview(self.data)[self.place : end]
        self.place = end
        return part

    def read_int32(self) -> int:
        zigzag = self.varint()
        return zigzag >> 1 if not zigzag & 1 else -((zigzag + 1) >> 1)

    def double(self) -> float:
        value: float = _DOUBLE(self.data, self.place)[0]
        self.place += 8
        return value

    def read_number(self) -> int | float:
        return number_of_float(self.double())

    def read_bigint(self) -> int:
        field = self.varint()
        value = int.from_bytes(self.take(field >> 1), "little")
        return -value if field & 1 else value

    def read_latin1(self) -> str:
        size = self.varint()
        end = self.place + size
        if end > len(self.data):
            raise _broken()
        text = self.data[self.place : end].decode("latin-1")
        self.place = end
        return text

    def read_utf16(self) -> str:
        return bytes(self.take(self.varint())).decode("utf-16-le", "surrogatepass")

    def read_utf8(self) -> str:
        return bytes(self.take(self.varint())).decode("utf-8")

    def read_string(self) -> str:
        text = self.read()
        if not isinstance(text, str):
            raise _broken()
        return text

    def read_reference(self) -> Any:
        value = self.objects[self.varint()]
        if value is _UNFINISHED:
            raise _broken()  # So does workerd with an error that contains itself.
        return self._content_or_view(value) if isinstance(value, _Buffer) else value

    def read_object(self) -> JsDict:
        result = JsDict()
        self.objects.append(result)
        self._read_properties(result, end=0x7B)
        self.varint()
        return result

    def _read_properties(self, into: JsDict, *, end: int) -> None:
        while True:
            tag = self.tag()
            if tag == end:
                return
            key = _READERS[tag](self)
            if isinstance(key, int | float):
                key = str(int(key))
            elif not isinstance(key, str):
                raise _broken()
            into[key] = self.read()

    def read_dense_array(self) -> list[Any]:
        length = self.varint()
        if length > len(self.data):
            raise _broken()
        result: list[Any] = []
        self.objects.append(result)
        for _ in range(length):
            result.append(self.read())  # noqa: PERF401 - the list may contain itself.
        # Extra properties of an array have no place in a list.
        self._read_properties(JsDict(), end=0x24)
        self.varint()
        self.varint()
        return result

    def read_sparse_array(self) -> list[Any]:
        length = self.varint()
        if length > SPARSE_LENGTH_MAX:
            raise _broken()
        result: list[Any] = [undefined] * length
        self.objects.append(result)
        properties = JsDict()
        self._read_properties(properties, end=0x40)
        for key, item in properties.items():
            if key.isdigit() and int(key) < length:
                result[int(key)] = item
        self.varint()
        self.varint()
        return result

    def read_map(self) -> JsMap:
        result = JsMap()
        self.objects.append(result)
        while self.data[self.place] != 0x3A:
            key = hashable(self.read())
            result[key] = self.read()
        self.place += 1
        self.varint()
        return result

    def read_set(self) -> set[Any]:
        result: set[Any] = set()
        self.objects.append(result)
        while self.data[self.place] != 0x2C:
            result.add(hashable(self.read()))
        self.place += 1
        self.varint()
        return result

    def read_date(self) -> Any:
        return self._kept(date_of_ms(self.double()))

    def read_boxed_true(self) -> bool:
        self.objects.append(True)
        return True

    def read_boxed_false(self) -> bool:
        self.objects.append(False)
        return False

    def read_boxed_number(self) -> Any:
        return self._kept(self.read_number())

    def read_boxed_bigint(self) -> Any:
        return self._kept(self.read_bigint())

    def read_boxed_string(self) -> Any:
        return self._kept(self.read_string())

    def read_regexp(self) -> Any:
        source = self.read_string()
        return self._kept(pattern_of(source, self.varint()))

    def _kept(self, value: Any) -> Any:
        self.objects.append(value)
        return value

    def read_array_buffer(self) -> Any:
        return self._buffer(self.varint())

    def read_resizable_buffer(self) -> Any:
        size = self.varint()
        self.varint()  # How large it may grow.
        return self._buffer(size)

    def _buffer(self, size: int) -> Any:
        buffer = _Buffer(self.take(size))
        self.objects.append(buffer)
        return self._content_or_view(buffer)

    def _content_or_view(self, buffer: _Buffer) -> Any:
        if self.place < len(self.data) and self.data[self.place] == 0x56:
            return self._view(buffer.content)
        if buffer.whole is None:
            buffer.whole = typed_array("B", buffer.content)
        return buffer.whole

    def _view(self, content: memoryview) -> Any:
        self.place += 1
        kind = chr(self.varint())
        offset, size = self.varint(), self.varint()
        if self.version >= 14:
            self.varint()  # Flags: tracks the length, backed by a resizable buffer.
        if offset + size > len(content):
            raise _broken()
        part = content[offset : offset + size]
        return self._kept(typed_array(kind, part))

    def read_host_object(self) -> Any:
        number = len(self.objects)
        self.objects.append(_UNFINISHED)
        value = self.objects[number] = read_host_object(self)
        if value is None:
            raise _broken()
        return value

    def read_error(self) -> JsException:
        number = len(self.objects)
        self.objects.append(_UNFINISHED)
        name, message = "Error", ""
        error: JsException | None = None
        while True:
            tag = self.varint()
            if tag == 0x2E:
                break
            if tag in _ERROR_CLASSES:
                name = _ERROR_CLASSES[tag]
            elif tag == 0x6D:
                message = self.read_string()
            elif tag == 0x63:
                # It may be the error itself. What tells name and text comes before it.
                error = self.objects[number] = js_error(name, message)
                error.properties["cause"] = self.read()
            elif tag == 0x73:
                self.read_string()  # The stack of a JavaScript engine.
            else:
                raise _broken()
        if error is None:
            error = self.objects[number] = js_error(name, message)
        return error


@final
class _Buffer:
    """An ArrayBuffer, which a value may show whole, in views, or both."""

    __slots__ = ("content", "whole")

    def __init__(self, content: memoryview) -> None:
        self.content = content
        self.whole: Any = None


_READERS: Final[dict[int, Callable[[_Reader], Any]]] = {
    ord("_"): lambda _: undefined,
    ord("-"): lambda _: undefined,  # A hole.
    ord("0"): lambda _: None,
    ord("T"): lambda _: True,
    ord("F"): lambda _: False,
    ord("I"): _Reader.read_int32,
    ord("U"): _Reader.varint,
    ord("N"): _Reader.read_number,
    ord("Z"): _Reader.read_bigint,
    ord('"'): _Reader.read_latin1,
    ord("c"): _Reader.read_utf16,
    ord("S"): _Reader.read_utf8,
    ord("^"): _Reader.read_reference,
    ord("o"): _Reader.read_object,
    ord("A"): _Reader.read_dense_array,
    ord("a"): _Reader.read_sparse_array,
    ord(";"): _Reader.read_map,
    ord("'"): _Reader.read_set,
    ord("D"): _Reader.read_date,
    ord("y"): _Reader.read_boxed_true,
    ord("x"): _Reader.read_boxed_false,
    ord("n"): _Reader.read_boxed_number,
    ord("z"): _Reader.read_boxed_bigint,
    ord("s"): _Reader.read_boxed_string,
    ord("R"): _Reader.read_regexp,
    ord("B"): _Reader.read_array_buffer,
    ord("~"): _Reader.read_resizable_buffer,
    ord("r"): _Reader.read_error,
    ord(HOST_OBJECT): _Reader.read_host_object,
}
