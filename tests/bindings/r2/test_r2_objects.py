"""Laws of head, get, put, delete and list."""

from __future__ import annotations

import contextlib
import hashlib
from datetime import UTC, datetime

import pytest

from emulator.bindings.r2 import WORKERD, R2Object, R2ObjectBody
from emulator.errors import JsException
from emulator.web.streams import FixedLengthStream, ReadableStream, Uint8Array

HELLO = "5d41402abc4b2a76b9719d911017c592"


async def error_of(awaitable):
    with pytest.raises(JsException) as caught:
        await awaitable
    return caught.value.name, caught.value.message


async def keys_of(bucket, **options):
    page = await bucket.list(options)
    return [item.key for item in page.objects], page.delimitedPrefixes


def test_a_missing_object_is_none(in_world):
    async def body(world, bucket):
        assert await bucket.head("nope") is None
        assert await bucket.get("nope", {"range": {"offset": 5}}) is None
        assert await bucket.delete("nope") is None

    in_world(body)


def test_an_object_shows_what_was_put(in_world):
    async def body(world, bucket):
        put = await bucket.put(
            "a",
            "hello",
            {
                "httpMetadata": {"contentType": "text/x"},
                "customMetadata": {"Zed": 1, "é": None},
            },
        )
        head = await bucket.head("a")
        for item in (put, head):
            assert (item.key, item.size, item.etag, item.httpEtag) == (
                "a", 5, HELLO, f'"{HELLO}"',
            )  # fmt: skip
            assert item.customMetadata == {"Zed": "1", "é": "null"}
            assert item.httpMetadata.contentType == "text/x"
            assert item.httpMetadata.cacheExpiry is None
            assert item.checksums.toJSON() == {"md5": HELLO}
            assert item.uploaded == datetime(2026, 1, 1, 0, 0, 0, 1000, tzinfo=UTC)
            assert item.storageClass == "Standard"
        assert put.range is None
        assert head.range == {"offset": 0, "length": 5}
        assert not hasattr(head, "body")
        assert head.customMetadata is head.customMetadata

    in_world(body)


def test_an_object_cannot_be_changed(in_world):
    async def body(world, bucket):
        item = await bucket.put("a", "x")
        with pytest.raises(TypeError, match="Cannot assign to read only property 'size' of"):
            item.size = 5

    in_world(body)


@pytest.mark.parametrize(
    "value",
    [b"hello", bytearray(b"hello"), memoryview(b"hello"), Uint8Array(b"hello"), "hello"],
)
def test_every_kind_of_bytes_is_stored_alike(in_world, value):
    async def body(world, bucket):
        assert (await bucket.put("a", value)).etag == HELLO
        assert await (await bucket.get("a")).text() == "hello"

    in_world(body)


def test_none_is_an_empty_object(in_world):
    async def body(world, bucket):
        assert (await bucket.put("n", None)).size == 0
        got = await bucket.get("n")
        assert await got.bytes() == b""
        assert got.bodyUsed

    in_world(body)


@pytest.mark.parametrize("value", [5, True, {}, [], 1.5, datetime(2026, 1, 1, tzinfo=UTC)])
def test_other_values_are_refused_by_type(in_world, value):
    async def body(world, bucket):
        assert await error_of(bucket.put("n", value)) == (
            "TypeError",
            "Failed to execute 'put' on 'R2Bucket': parameter 2 is not of type 'ReadableStream "
            "or ArrayBuffer or ArrayBufferView or string or Blob'.",
        )

    in_world(body)


def test_a_buffer_is_read_when_the_write_happens(in_world):
    async def body(world, bucket):
        data = bytearray(b"abc")
        put = bucket.put("a", data)
        data[0:1] = b"X"
        await put
        assert await (await bucket.get("a")).text() == "Xbc"

    in_world(body)


def test_a_body_is_read_once(in_world):
    async def body(world, bucket):
        await bucket.put("a", '{"x": [1]}')
        got = await bucket.get("a")
        assert not got.bodyUsed
        assert (await got.json()).x == [1]
        assert got.bodyUsed
        name, text = await error_of(got.text())
        assert (name, text[:27]) == ("TypeError", "Body has already been used.")

    in_world(body)


def test_an_open_body_keeps_its_version(in_world):
    async def body(world, bucket):
        for size in (10, 3_000_000):
            await bucket.put("a", b"1" * size)
            deleted, replaced = await bucket.get("a"), await bucket.get("a")
            reader = replaced.body.getReader()
            first = (await reader.read()).value
            await bucket.put("a", b"2" * size)
            await bucket.delete("a")
            await bucket.put("other", b"3" * size)
            assert await deleted.bytes() == b"1" * size
            count = len(first)
            while not (step := await reader.read()).done:
                assert step.value == b"1" * len(step.value)
                count += len(step.value)
            assert count == size

    in_world(body)


def test_space_of_deleted_objects_is_used_again(in_world):
    async def body(world, bucket):
        store = world.storage.store("BUCKET")
        for index in range(20):
            await bucket.put(f"k{index % 3}", bytes([index]) * 1_000_000)
        assert store.statistics().spool.file_bytes <= 4_000_000
        for index in (17, 18, 19):
            data = await (await bucket.get(f"k{index % 3}")).bytes()
            assert data == bytes([index]) * 1_000_000
        await bucket.delete(["k0", "k1", "k2"])
        del data
        assert store.statistics().spool.file_bytes == 0

    in_world(body)


def test_chunks_come_as_uint8_arrays_and_make_the_whole(in_world):
    async def body(world, bucket):
        data = b"0123456789" * 30_000
        await bucket.put("a", data)
        got = await bucket.get("a")
        assert got.body.known_length == len(data)
        chunks = [chunk async for chunk in got.body]
        assert all(isinstance(chunk, Uint8Array) for chunk in chunks)
        assert b"".join(chunks) == data

    in_world(body)


@pytest.mark.parametrize(
    "key", ["../b", "/abs", "a//b", "NUL\0", " sp ", "\n", "%2F?q#h", "", "🙂"]
)
def test_odd_keys_are_only_keys(in_world, key):
    async def body(world, bucket):
        await bucket.put(key, "x")
        assert (await bucket.head(key)).key == key
        assert await keys_of(bucket) == ([key], [])
        await bucket.delete(key)
        assert await bucket.head(key) is None

    in_world(body)


def test_a_lone_surrogate_in_a_key_becomes_replacement_characters(in_world):
    async def body(world, bucket):
        assert (await bucket.put("a\ud800", "x")).key == "a\ufffd\ufffd\ufffd"

    in_world(body)


def test_a_key_is_spelled_as_javascript_spells_it(in_world):
    # Two halves of a pair are the character, and numbers have JavaScript's exponents.
    async def body(world, bucket):
        keys = [(await bucket.put(key, "x")).key for key in ("\ud83d\ude00", 1e-7, 1e21, 2.0)]
        assert keys == ["😀", "1e-7", "1e+21", "2"]

    in_world(body)


@pytest.mark.parametrize("key", ["k" * 1025, "é" * 513])
def test_a_key_of_more_than_1024_bytes_is_refused_by_each_method(in_world, key):
    async def body(world, bucket):
        await bucket.put("keep", "1")
        for call, word in (
            (bucket.put(key, "x"), "put"),
            (bucket.get(key), "get"),
            (bucket.head(key), "head"),
            (bucket.delete(["keep", key]), "delete"),
            (bucket.createMultipartUpload(key), "createMultipartUpload"),
        ):
            expected = f"{word}: The specified object name is not valid. (10020)"
            assert await error_of(call) == ("Error", expected)
        assert await bucket.head("keep") is not None
        assert await bucket.put("k" * 1024, "x") is not None

    in_world(body)


def test_spellings_of_one_text_name_one_object(in_world):
    async def body(world, bucket):
        await bucket.put("cafe\u0301", "x")
        assert (await bucket.head("caf\u00e9")).key == "cafe\u0301"
        await bucket.put("caf\u00e9", "y")
        assert await keys_of(bucket) == (["caf\u00e9"], [])

    in_world(body)


def test_workerd_tells_spellings_apart(in_world):
    async def body(world, bucket):
        await bucket.put("cafe\u0301", "x")
        assert await bucket.head("caf\u00e9") is None

    in_world(body, profile=WORKERD)


def test_metadata_of_more_than_8192_bytes_is_refused(in_world):
    async def body(world, bucket):
        await bucket.put("a", "x", customMetadata={"k": "v" * 8191})
        assert await error_of(bucket.put("a", "x", customMetadata={"k": "v" * 8192})) == (
            "Error",
            "put: Your metadata headers exceed the maximum allowed metadata size. (10012)",
        )

    in_world(body)


def test_a_wrong_digest_stores_nothing(in_world):
    async def body(world, bucket):
        await bucket.put("a", "old")
        actual = hashlib.md5(b"value").hexdigest()
        assert await error_of(bucket.put("a", "value", {"md5": "0" * 32})) == (
            "Error",
            "put: The MD5 checksum you specified did not match what we received.\n"
            f"You provided a MD5 checksum with value: {'0' * 32}\n"
            f"Actual MD5 was: {actual} (10037)",
        )
        assert await (await bucket.get("a")).text() == "old"
        right = await bucket.put("a", "value", sha256=hashlib.sha256(b"value").digest())
        assert list(right.checksums.toJSON()) == ["md5", "sha256"]

    in_world(body)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"offset": 1}, (b"alue", 1, 4)),
        ({"offset": 4, "length": 10}, (b"e", 4, 1)),
        ({"length": 2}, (b"va", 0, 2)),
        ({"suffix": 2}, (b"ue", 3, 2)),
        ({"suffix": 100}, (b"value", 0, 5)),
        ({}, (b"value", 0, 5)),
    ],
)
def test_a_range_gives_its_bytes(in_world, wanted, expected):
    async def body(world, bucket):
        await bucket.put("k", "value")
        got = await bucket.get("k", range=wanted)
        assert (await got.bytes(), got.range.offset, got.range.length) == expected
        assert got.size == 5

    in_world(body)


@pytest.mark.parametrize("wanted", [{"offset": 5}, {"offset": 9}, {"length": 0}, {"suffix": 0}])
def test_a_range_without_bytes_is_refused(in_world, wanted):
    async def body(world, bucket):
        await bucket.put("k", "value")
        assert await error_of(bucket.get("k", {"range": wanted})) == (
            "Error", "get: The requested range is not satisfiable (10039)",
        )  # fmt: skip

    in_world(body)


def test_a_failed_condition_gives_no_body_and_stores_nothing(in_world):
    async def body(world, bucket):
        put = await bucket.put("k", "value")
        got = await bucket.get("k", onlyIf={"etagMatches": "bad"}, range={"offset": 100})
        assert type(got) is R2Object
        assert await bucket.put("k", "new", onlyIf={"etagDoesNotMatch": "*"}) is None
        assert await bucket.put("m", "new", onlyIf={"etagMatches": "*"}) is None
        assert type(await bucket.get("k", onlyIf={"etagMatches": put.etag})) is R2ObjectBody
        assert await bucket.get("k", onlyIf={"uploadedAfter": put.uploaded}) is not None
        assert not hasattr(
            await bucket.get("k", onlyIf={"uploadedAfter": put.uploaded}), "body"
        )

    in_world(body)


def test_a_stream_of_unknown_length_is_refused(in_world):
    async def body(world, bucket):
        assert await error_of(bucket.put("a", ReadableStream())) == (
            "TypeError",
            "Provided readable stream must have a known length (request/response body or "
            "readable half of FixedLengthStream)",
        )

    in_world(body)


def test_a_body_of_one_object_is_the_stream_of_another(in_world):
    async def body(world, bucket):
        await bucket.put("src", b"0123456789" * 20_000)
        source = await bucket.get("src", range={"offset": 2, "length": 150_000})
        await bucket.put("dst", source.body)
        assert (await bucket.head("dst")).size == 150_000
        assert await (await bucket.get("dst")).bytes() == (b"0123456789" * 20_000)[2:150_002]

    in_world(body)


def test_a_stream_that_ends_early_leaves_nothing(in_world):
    async def body(world, bucket):
        stream = FixedLengthStream(1_500_000)
        put = bucket.put("a", stream.readable)
        writer = stream.writable.getWriter()
        await writer.write(bytes(1_200_000))
        with contextlib.suppress(TypeError):
            await writer.close()
        _, text = await error_of(put)
        assert text == "FixedLengthStream did not see all expected bytes before close()."
        assert await bucket.head("a") is None
        del put, stream, writer
        assert world.storage.store("BUCKET").statistics().object_count == 0

    in_world(body)


def test_up_to_1000_keys_are_deleted_at_once(in_world):
    async def body(world, bucket):
        for index in range(5):
            await bucket.put(f"k{index}", "x")
        await bucket.delete(["k0", "k1", "none", "k1"])
        await bucket.delete([])
        assert await keys_of(bucket) == (["k2", "k3", "k4"], [])
        assert (await error_of(bucket.delete(["x"] * 1001)))[0] == "Error"

    in_world(body)


ALPHABET = [
    *("A", "B", "_", "a", "a-1", "a/1", "a/2", "a/2/x", "a0", "b", "z", "~", "\u00e9"),
    *("\uff5e", "\ufffd", "\U0001f642"),
]


def test_a_list_is_in_the_order_of_utf8_bytes(in_world):
    async def body(world, bucket):
        for key in reversed(ALPHABET):
            await bucket.put(key, "x")
        assert await keys_of(bucket) == (ALPHABET, [])
        assert await keys_of(bucket, startAfter="a", limit=3) == (["a-1", "a/1", "a/2"], [])
        assert await keys_of(bucket, prefix="a/", delimiter="/") == (["a/1", "a/2"], ["a/2/"])

    in_world(body)


def test_pages_show_each_key_and_group_once(in_world):
    async def body(world, bucket):
        for key in ALPHABET:
            await bucket.put(key, "x")
        pages, cursor = [], None
        while True:
            page = await bucket.list(delimiter="/", limit=4, cursor=cursor)
            pages.append(([item.key for item in page.objects], page.delimitedPrefixes))
            cursor = page.cursor
            if not page.truncated:
                break
        assert pages == [
            (["A", "B", "_", "a"], []),
            (["a-1", "a0", "b"], ["a/"]),
            (["z", "~", "é", "\uff5e"], []),
            (["\ufffd", "\U0001f642"], []),
        ]
        assert cursor is None

    in_world(body)


@pytest.mark.parametrize("limit", [0, 1001, float("nan")])
def test_a_limit_out_of_range_is_refused(in_world, limit):
    async def body(world, bucket):
        assert await error_of(bucket.list(limit=limit)) == (
            "Error", "list: MaxKeys params must be positive integer <= 1000. (10022)",
        )  # fmt: skip

    in_world(body)


def test_a_list_with_metadata_may_be_shorter_but_never_loses_a_key(in_world):
    async def body(world, bucket):
        for index in range(300):
            await bucket.put(f"k{index:03}", "x", customMetadata={"i": index})
        seen, cursor = [], None
        while True:
            page = await bucket.list(include=["customMetadata"], cursor=cursor)
            seen += [item.customMetadata.i for item in page.objects]
            if not page.truncated:
                break
            assert page.objects
            cursor = page.cursor
        assert seen == [str(index) for index in range(300)]

    in_world(body)


def test_listed_objects_do_not_know_metadata_that_was_not_included(in_world):
    async def body(world, bucket):
        await bucket.put("k", "x", customMetadata={"a": "b"})
        (item,) = (await bucket.list()).objects
        assert item.customMetadata is None
        with pytest.raises(TypeError, match="HTTP metadata unknown for key `k`"):
            item.writeHttpMetadata(None)

    in_world(body)


def test_the_same_seed_gives_the_same_versions(in_world):
    async def body(world, bucket):
        upload = await bucket.createMultipartUpload("m")
        return (await bucket.put("a", "x")).version, upload.uploadId

    assert in_world(body) == in_world(body)
