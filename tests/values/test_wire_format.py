"""The bytes: recorded from V8 (Node's `v8.Serializer`, views not as host objects)."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
from array import array
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.errors import JsException, JsRangeError, js_error
from emulator.values import (
    JsDict,
    JsMap,
    deserialize,
    serialize,
    serialized_size,
    structured_clone,
    undefined,
)
from emulator.web.headers import Headers

CYCLE: list[object] = []
CYCLE.append(CYCLE)
SHARED: dict[str, object] = {}

# JavaScript source, the Python value for it, and what V8 wrote after FF 0F.
VECTORS = [
    ("null", None, "30"),
    ("undefined", undefined, "5f"),
    ("true", True, "54"),
    ("false", False, "46"),
    ("0", 0, "4900"),
    ("1", 1, "4902"),
    ("-1", -1, "4901"),
    ("2**30", 2**30, "498080808008"),
    ("-(2**30)-1", -(2**30) - 1, "498180808008"),
    ("2**31-1", 2**31 - 1, "49feffffff0f"),
    ("-(2**31)", -(2**31), "49ffffffff0f"),
    ("2**31", 2**31, "4e000000000000e041"),
    ("2**53", float(2**53), "4e0000000000004043"),
    ("-0", -0.0, "4e0000000000000080"),
    ("NaN", float("nan"), "4e000000000000f87f"),
    ("Infinity", float("inf"), "4e000000000000f07f"),
    ("1.5", 1.5, "4e000000000000f83f"),
    ("3", 3.0, "4906"),
    ("2n**53n", 2**53, "5a100000000000002000"),
    ("2n**64n", 2**64, "5a2000000000000000000100000000000000"),
    ("-(2n**64n)", -(2**64), "5a2100000000000000000100000000000000"),
    ("'ok'", "ok", "22026f6b"),
    ("''", "", "2200"),
    ("'é'", "é", "2201e9"),
    ("'€'", "€", "6302ac20"),
    ("'a€'", "a€", "63046100ac20"),
    ("'\\ud800'", "\ud800", "630200d8"),
    ("'😀'", "😀", "63043dd800de"),
    ("'€'.repeat(64)", "€" * 64, "00638001" + "ac20" * 64),
    ("'€'.repeat(63)", "€" * 63, "637e" + "ac20" * 63),
    ("['€']", ["€"], "41016302ac20240001"),
    ("[1,'€',2]", [1, "€", 2], "410349026302ac204904240003"),
    ("[]", [], "4100240000"),
    ("[[1],{a:1}]", ([1], {"a": 1}), "4102410149022400016f22016149027b01240002"),
    ("[1.5,2]", [1.5, 2], "41024e000000000000f83f4e0000000000000040240002"),
    ("[-0,1]", [-0.0, 1], "41024e00000000000000804e000000000000f03f240002"),
    (
        "[1,2.5,undefined,null]",
        [1, 2.5, undefined, None],
        "410449024e00000000000004405f30240004",
    ),
    ("['x',1,2.5]", ["x", 1, 2.5], "410322017849024e0000000000000440240003"),
    ("{}", {}, "6f7b00"),
    ("{a:1,b:'x'}", {"a": 1, "b": "x"}, "6f22016149022201622201787b02"),
    (
        "{b:1,2:'x',1:'y',a:2}",
        {"b": 1, "2": "x", "1": "y", "a": 2},
        "6f49022201794904220178220162490222016149047b04",
    ),
    (
        "{4294967295:1,4294967294:2,2147483648:3,'01':4,'-1':5,1073741824:6}",
        {
            "4294967295": 1,
            "4294967294": 2,
            "2147483648": 3,
            "01": 4,
            "-1": 5,
            "1073741824": 6,
        },
        "6f498080808008490c4e000000000000e04149064e0000c0ffffffef414904"
        "220a34323934393637323935490222023031490822022d31490a7b06",
    ),
    ("{'€':1,'é':2}", JsDict({"€": 1, "é": 2}), "6f006302ac2049022201e949047b02"),
    ("{a:undefined}", {"a": undefined}, "6f2201615f7b01"),
    ("[1,{x:'€'}]", [1, {"x": "€"}], "410249026f2201786302ac207b01240002"),
    ("new Map([[1,2],['a','b']])", {1: 2, "a": "b"}, "3b490249042201612201623a04"),
    ("new Map([['a','b']])", JsMap({"a": "b"}), "3b2201612201623a02"),
    ("new Set(['a',1])", {1, "a"}, "2722016149022c02"),
    ("new Date(1000)", datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC), "440000000000408f40"),
    ("/a+/ims", re.compile("a+", re.I | re.M | re.S), "522202612b26"),
    ("new RegExp('a/b')", re.compile("a/b"), "522204615c2f6200"),
    ("new RegExp('')", re.compile(""), "522204283f3a2900"),
    ("new RegExp('a\\nb')", re.compile("a\nb"), "522204615c6e6200"),
    ("new Uint8Array([1,2,3])", b"\x01\x02\x03", "42030102035642000300"),
    ("new Uint8Array()", bytearray(), "42005642000000"),
    ("new Uint16Array([1,2])", array("H", [1, 2]), "4204010002005657000400"),
    ("new Float64Array([1])", memoryview(array("d", [1])), "4208000000000000f03f5646000800"),
    ("new BigInt64Array(1)", array("q", [0]), "420800000000000000005671000800"),
    ("bare(new Error('boom'))", ValueError("boom"), "726d2204626f6f6d2e"),
    ("bare(new RangeError('x'))", JsRangeError("x"), "72526d2201782e"),
    ("bare(new Error())", js_error("Error", ""), "722e"),
    ("bare(new Error(''))", Exception(), "726d22002e"),
    ("renamed", js_error("ZError", "m"), "726d22016d2e"),
    ("cycle", CYCLE, "41015e00240001"),
    ("shared", [SHARED, SHARED], "41026f7b005e01240002"),
    (
        "[new Date(0),new Uint8Array(2),o,o]",
        [datetime(1970, 1, 1, tzinfo=UTC), b"\0\0", SHARED, SHARED],
        "41044400000000000000004202000056420002006f7b005e04240004",
    ),
]

NODE = """
const v8 = require('v8');
const bare = (error) => { error.stack = undefined; return error; };
const cycle = []; cycle.push(cycle);
const o = {};
const shared = [o, o];
const renamed = bare(new Error('m')); renamed.name = 'ZError';
const hex = (value) => {
  const s = new v8.Serializer();
  s._setTreatArrayBufferViewsAsHostObjects(false);
  s.writeHeader(); s.writeValue(value);
  return s.releaseBuffer().toString('hex');
};
const sources = JSON.parse(require('fs').readFileSync(0, 'utf8'));
console.log(JSON.stringify(sources.map((source) => hex(eval('(' + source + ')')))));
"""


@pytest.mark.parametrize(("source", "value", "expected"), VECTORS, ids=[v[0] for v in VECTORS])
def test_a_value_has_the_bytes_that_v8_writes(source, value, expected):
    assert serialize(value).hex() == "ff0f" + expected


def test_the_recorded_bytes_are_those_of_the_v8_that_is_here(require_tool):
    sources = [source for source, _, _ in VECTORS]

    answer = subprocess.run(
        [require_tool("node"), "-e", NODE],
        input=json.dumps(sources),
        capture_output=True,
        text=True,
        check=True,
    )

    assert json.loads(answer.stdout) == ["ff0f" + expected for _, _, expected in VECTORS]


JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=20,
)

REVIVE = """
const v8 = require('v8');
const back = JSON.parse(require('fs').readFileSync(0, 'utf8')).map((text) => {
  const s = new v8.Serializer();
  s.writeHeader(); s.writeValue(v8.deserialize(Buffer.from(text, 'hex')));
  return s.releaseBuffer().toString('hex');
});
console.log(JSON.stringify(back));
"""


def test_what_v8_reads_from_our_bytes_and_writes_again_is_the_same_value(require_tool):
    node = require_tool("node")

    @settings(max_examples=5, deadline=None, database=None)
    @given(st.lists(JSON_LIKE, min_size=1, max_size=60))
    def compare(values):
        ours = [serialize(value) for value in values]
        answer = subprocess.run(
            [node, "-e", REVIVE],
            input=json.dumps([data.hex() for data in ours]),
            capture_output=True,
            text=True,
            check=True,
        )
        theirs = [bytes.fromhex(text) for text in json.loads(answer.stdout)]
        # Not byte for byte: an array that V8 has read is one with room for holes.
        assert repr([*map(deserialize, theirs)]) == repr([*map(deserialize, ours)])

    compare()


READ = [
    ("4102 79 6e000000000000f83f 240002", [True, 1.5]),
    ("4103 78 73220173 7a100500000000000000 240003", [False, "s", 5]),
    ("410349004902 49 04 240003", [0, 1, 2]),
    ("4103 4902 2d 4904 2400 03", [1, undefined, 2]),
    ("4101 4902 220178 4904 240101", None),
    ("61 03 4902 4908 40 01 03", [undefined, 4, undefined]),
    ("55 8001", 128),
    ("53 02 c3a9", "é"),
    ("42 02 0102", b"\x01\x02"),
    ("7e 02 08 0102 56 42 00 02 01", b"\x01\x02"),
    ("42 03 000102 56 3f 01 02 00", b"\x01\x02"),
    ("42 02 ffff 56 43 00 02 00", b"\xff\xff"),
    ("42 04 00000100 56 57 02 02 00", array("H", [1])),
    ("00 00 6302ac20", "€"),
    ("4e 0000000000004043", float(2**53)),
    ("4e ffffffffffff3f43", 2**53 - 1),
    ("5a00", 0),
]


@pytest.mark.parametrize(("text", "expected"), [r for r in READ if r[1] is not None])
def test_what_only_javascript_writes_can_be_read(text, expected):
    value = deserialize(bytes.fromhex("ff0f" + text))

    assert value == expected
    assert type(value) is type(expected) or isinstance(value, bytes)


def test_extra_properties_of_an_array_are_passed_over():
    data = bytes.fromhex("ff0f4102410149022201784904240101490a240002")

    assert deserialize(data) == [[1], 5]


@pytest.mark.parametrize("version", ["0d", "0e", "0f"])
def test_formats_13_to_15_can_be_read(version):
    flags = "" if version == "0d" else "00"

    assert deserialize(bytes.fromhex(f"ff{version}4101420101564200 01{flags}240001")) == [b"\1"]


def test_views_of_one_buffer_are_read_by_their_number():
    # [u, u, u.buffer, new Uint8Array(u.buffer, 1)], as Node writes it.
    data = bytes.fromhex("ff0f41044202000056420002005e025e015e015642010100240004")

    first, same, buffer, tail = deserialize(data)

    assert first is same
    assert (first, buffer, tail) == (b"\0\0", b"\0\0", b"\0")


def test_an_error_comes_back_with_class_and_message_and_cause():
    data = bytes.fromhex("ff0f72546d22016d636f22016149027b0173220273742e")

    error = deserialize(data)

    assert isinstance(error, JsException)
    assert (error.name, error.message) == ("TypeError", "m")
    assert error.properties == {"cause": {"a": 1}}


NO_VALUES = [
    "",
    "ff",
    "ff0f",
    "ff0c30",
    "ff1030",
    "0030",
    "ff0f22056f6b",
    "ff0f6f",
    "ff0f4e00",
    "ff0f5c01",
    "ff0f5e00",
    "ff0f41ffffff7f",
    "ff0f61ffffffff0f",
    "ff0f4201005642000900",
    "ff0f6302ac",
    "ff0f7251",
    "ff0f4203000000565700030024",
    "ff0f3b4902",
    "ff0f99",
    "ff0f6f30307b01",
    "ff0f5c0a072200",
    "ff0f5c0a012200410024000000",
    "ff0f5c0a0149026f7b00",
]


@pytest.mark.parametrize("text", NO_VALUES)
def test_bytes_that_are_no_value_are_an_error_and_nothing_else(text):
    with pytest.raises(JsException) as caught:
        deserialize(bytes.fromhex(text))

    assert caught.value.message.startswith("Unable to deserialize cloned data")


@given(st.binary(max_size=40))
def test_any_bytes_give_a_value_or_a_platform_error(data):
    with contextlib.suppress(JsException):
        deserialize(b"\xff\x0f" + data)


def test_the_value_limits_of_storage_follow_from_the_bytes():
    # Measured on workerd: the largest values whose row is within 2,200,000 bytes.
    assert len(serialize(bytes(2_199_978))) - len(serialize("a" * 2_199_986)) == 0


def test_a_message_has_the_size_that_workerd_counts():
    value = bytes(33 * 1_024 * 1_024)

    assert serialized_size(value) == 34_603_023
    assert serialized_size([value]) == 34_603_028


def test_sets_are_written_in_one_order_whatever_theirs_is():
    names = [f"name{number}" for number in range(50)]

    assert serialize(set(names)) == serialize(frozenset(reversed(names)))
    assert serialize({1, "a", None, (2, "b")}) == serialize({(2, "b"), None, "a", 1})


def test_the_cause_of_an_error_is_written_too():
    error = js_error("TypeError", "m")
    error.properties["cause"] = {"a": 1}

    assert serialize(error).hex() == "ff0f72546d22016d636f22016149027b012e"
    assert deserialize(serialize(error)).properties == {"cause": {"a": 1}}


def test_headers_are_written_as_workerd_writes_them():
    # From a database of workerd's; it keeps the spelling of unusual names as well.
    data = bytes.fromhex("ff0f5c0403060501310501321101782903713d312903723d320003782d7902c3a9")
    given = [
        ("content-type", "x"), ("set-cookie", "q=1"), ("set-cookie", "r=2"), ("x-y", "\xe9"),
        ("accept", "1"), ("accept", "2"),
    ]  # fmt: skip

    assert serialize(Headers(given)) == data
    read = deserialize(data)
    assert (read.get("accept"), read.getSetCookie()) == ("1, 2", ["q=1", "r=2"])
    assert read.get("X-Y") == "\xe9"


def test_a_dom_exception_stays_one():
    error = js_error("AbortError", "dm")

    assert serialize(error).hex().startswith("ff0f5c080a41626f72744572726f7202646d")
    read = deserialize(serialize([error, error]))
    assert (read[0].name, read[0].message, read[0] is read[1]) == ("AbortError", "dm", True)


def error(name, message, **properties):
    made = js_error(name, message)
    made.properties.update(properties)
    return made


# From a database of workerd's, compatibility date 2026-04-25, the stacks taken out.
WHOLE_ERRORS = [
    (error("Error", "m"), b'\x01"\x01mo{\x00'),
    (error("TypeError", "t"), b'\x02"\x01to{\x00'),
    (error("RangeError", "r"), b'\x03"\x01ro{\x00'),
    (error("ReferenceError", "r"), b'\x04"\x01ro{\x00'),
    (error("SyntaxError", "r"), b'\x05"\x01ro{\x00'),
    (error("EvalError", "r"), b'\x0a"\x01ro{\x00'),
    (error("URIError", "r"), b'\x0b"\x01ro{\x00'),
    (
        error("AggregateError", "a", errors=[2]),
        b'\x0c"\x01ao"\x06errorsA\x01I\x04$\x00\x01{\x01',
    ),
    (error("MyErr", "my"), b'\x00"\x05MyErr"\x02myo{\x00'),
    (error("Error", ""), b'\x01"\x00o{\x00'),
    (error("Error", "m", z=1, a=3), b'\x01"\x01mo"\x01zI\x02"\x01aI\x06{\x02'),
    (
        error("Error", "m", inner=error("TypeError", "i", k=1)),
        b'\x01"\x01mo"\x05inner\\\n\x02"\x01io"\x01kI\x02{\x01{\x01',
    ),
]


@pytest.mark.parametrize(("value", "expected"), WHOLE_ERRORS)
def test_since_2026_04_21_an_error_is_written_with_all_that_it_has(value, expected):
    data = serialize(value, has_enhanced_errors=True)
    read = deserialize(data)

    assert data == b"\xff\x0f\\\x0a" + expected
    assert type(read) is type(value)
    assert (read.name, read.message) == (value.name, value.message)
    assert serialize(read, has_enhanced_errors=True) == data
    assert serialized_size(value, has_enhanced_errors=True) == len(data)


def test_the_stack_that_workerd_writes_is_passed_over():
    data = b'\xff\x0f\\\n\x00"\x05MyErr"\x02myo"\x05stack"\x09MyErr: my"\x04codeI\x06{\x02'
    read = deserialize(data)

    assert (read.name, read.message, read.properties) == ("MyErr", "my", {"code": 3})


def test_flags_are_properties_of_a_whole_error_and_names_that_are_numbers_are_lost():
    value = js_error("Error", "m", remote=True, overloaded=True)
    value.properties.update({"5": 1, "a": 2})

    for read in (
        deserialize(serialize(value, has_enhanced_errors=True)),
        structured_clone(value, for_storage=True, has_enhanced_errors=True),
    ):
        assert (read.remote, read.retryable, read.overloaded) == (True, False, True)
        assert read.properties == {"a": 2}


def test_a_whole_error_that_occurs_twice_is_one_and_what_comes_after_it_is_found():
    value = error("MyErr", "m", part={"a": 1})
    after = {"b": [1]}
    read = deserialize(serialize([value, value, after, after], has_enhanced_errors=True))

    assert read[0] is read[1]
    assert read[0].properties == {"part": {"a": 1}}
    assert read[2] is read[3]
    assert read[2] == {"b": [1]}


def test_a_python_exception_is_an_error_with_its_text_since_2026_04_21_too():
    read = deserialize(serialize(KeyError("k"), has_enhanced_errors=True))

    assert (read.name, read.message, read.properties) == ("Error", "'k'", {})


def test_an_error_that_contains_itself_is_written_and_cannot_be_read():
    value = error("Error", "m")
    value.properties["self"] = value
    data = serialize(value, has_enhanced_errors=True)

    # As workerd writes it, the stack taken out.
    assert data == b'\xff\x0f\\\n\x01"\x01mo"\x04self^\x00{\x01'
    for read in (
        lambda: deserialize(data),
        lambda: structured_clone(value, for_storage=True, has_enhanced_errors=True),
    ):
        with pytest.raises(JsException, match=r"^Error: Unable to deserialize cloned data\.$"):
            read()


def test_before_2026_04_21_an_error_may_be_its_own_cause():
    value = error("TypeError", "m")
    value.properties["cause"] = value
    read = deserialize(serialize(value))

    assert read.properties["cause"] is read
