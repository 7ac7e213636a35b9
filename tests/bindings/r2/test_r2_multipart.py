"""Laws of uploads in parts."""

from __future__ import annotations

import hashlib

import pytest

from emulator.errors import JsException

PART = 5 * 1024 * 1024


async def text_of(awaitable):
    with pytest.raises(JsException) as caught:
        await awaitable
    return caught.value.message


NOT_OPEN = "The specified multipart upload does not exist. (10024)"
INTERNAL = "We encountered an internal error. Please try again. (10001)"
NO_PART = (
    "completeMultipartUpload: One or more of the specified parts could not be found. (10025)"
)
TOO_SMALL = (
    "completeMultipartUpload: Your proposed upload is smaller than the minimum allowed object "
    "size. (10011)"
)
UNEQUAL = "completeMultipartUpload: There was a problem with the multipart upload. (10048)"


def test_parts_become_one_object_at_complete(in_world):
    async def body(world, bucket):
        upload = await bucket.createMultipartUpload("mp", customMetadata={"a": 1})
        two = await upload.uploadPart(2, b"\2" * 10)
        one = await upload.uploadPart(1, b"\1" * PART)
        assert await bucket.head("mp") is None
        done = await upload.complete([one, two])
        md5s = [hashlib.md5(data).digest() for data in (b"\1" * PART, b"\2" * 10)]
        assert done.etag == hashlib.md5(b"".join(md5s)).hexdigest() + "-2"
        assert done.checksums.toJSON() == {}
        got = await bucket.get("mp", range={"offset": PART - 2, "length": 5})
        assert await got.bytes() == b"\1\1\2\2\2"
        assert got.customMetadata == {"a": "1"}

    in_world(body)


def test_parts_are_joined_by_number_whatever_the_order(in_world):
    async def body(world, bucket):
        upload = await bucket.createMultipartUpload("mp")
        one = await upload.uploadPart(1, b"\1" * PART)
        two = await upload.uploadPart(2, b"\2" * PART)
        await upload.complete([two, one])
        data = await (await bucket.get("mp")).bytes()
        assert data == b"\1" * PART + b"\2" * PART

    in_world(body)


@pytest.mark.parametrize(
    ("sizes", "error"),
    [
        ((1, 1), TOO_SMALL),
        ((PART, PART + 1, 1), UNEQUAL),
        ((PART, PART + 1), UNEQUAL),
    ],
)
def test_parts_of_wrong_sizes_are_refused_and_the_upload_stays_open(in_world, sizes, error):
    async def body(world, bucket):
        upload = await bucket.createMultipartUpload("mp")
        parts = [await upload.uploadPart(n, bytes(size)) for n, size in enumerate(sizes, 1)]
        assert await text_of(upload.complete(parts)) == error
        assert (await upload.complete(parts[:1])).size == sizes[0]

    in_world(body)


def test_a_part_that_is_not_there_is_refused(in_world):
    async def body(world, bucket):
        upload = await bucket.createMultipartUpload("mp")
        old = await upload.uploadPart(1, "a")
        new = await upload.uploadPart(1, "bb")
        for parts in ([old], [{"partNumber": 2, "etag": new.etag}], [{"partNumber": 1}]):
            assert await text_of(upload.complete(parts)) == NO_PART
        assert await text_of(upload.complete([new, new])) == (
            f"completeMultipartUpload: {INTERNAL}"
        )
        assert (await upload.complete([new])).size == 2

    in_world(body)


def test_no_parts_make_an_empty_object(in_world):
    async def body(world, bucket):
        upload = await bucket.createMultipartUpload("mp")
        assert (await upload.complete([])).etag == "d41d8cd98f00b204e9800998ecf8427e-0"
        assert await (await bucket.get("mp")).text() == ""

    in_world(body)


@pytest.mark.parametrize("end", ["complete", "abort"])
def test_an_upload_that_is_over_takes_nothing(in_world, end):
    async def body(world, bucket):
        upload = await bucket.createMultipartUpload("mp")
        part = await upload.uploadPart(1, "a")
        await (upload.complete([part]) if end == "complete" else upload.abort())
        assert await text_of(upload.uploadPart(1, "a")) == f"uploadPart: {NOT_OPEN}"
        assert await text_of(upload.complete([part])) == f"completeMultipartUpload: {NOT_OPEN}"
        assert await upload.abort() is None
        assert (await bucket.head("mp") is not None) == (end == "complete")

    in_world(body)


def test_an_id_that_never_was_has_its_own_errors(in_world):
    async def body(world, bucket):
        real = await bucket.createMultipartUpload("k")
        for upload in (
            bucket.resumeMultipartUpload("k", "bogus"),
            bucket.resumeMultipartUpload("other", real.uploadId),
        ):
            assert await text_of(upload.uploadPart(1, "a")) == f"uploadPart: {NOT_OPEN}"
            assert await text_of(upload.complete([])) == f"completeMultipartUpload: {INTERNAL}"
            assert await text_of(upload.abort()) == f"abortMultipartUpload: {INTERNAL}"
        resumed = bucket.resumeMultipartUpload("k", real.uploadId)
        part = await resumed.uploadPart(1, "a")
        assert (await real.complete([part])).size == 1

    in_world(body)


@pytest.mark.parametrize(("number", "shown"), [(0, 0), (10_001, 10_001), ("abc", 0), (-1, -1)])
def test_a_part_number_out_of_range_is_a_type_error(in_world, number, shown):
    async def body(world, bucket):
        upload = await bucket.createMultipartUpload("mp")
        assert await text_of(upload.uploadPart(number, "x")) == (
            f"Part number must be between 1 and 10000 (inclusive). Actual value was: {shown}"
        )
        assert (await upload.uploadPart(1.5, "x")).partNumber == 1

    in_world(body)


def test_an_aborted_upload_gives_its_space_back(in_world):
    async def body(world, bucket):
        upload = await bucket.createMultipartUpload("mp")
        await upload.uploadPart(1, bytes(PART))
        await upload.uploadPart(2, (await _stream_of(bucket)).body)
        spool = world.storage.store("BUCKET").spool
        assert spool.statistics().file_bytes > PART
        await upload.abort()
        await bucket.delete("src")
        assert spool.statistics().file_bytes == 0

    in_world(body)


async def _stream_of(bucket):
    await bucket.put("src", bytes(200_000))
    return await bucket.get("src")


def test_an_upload_that_is_not_finished_in_seven_days_is_aborted(in_world):
    async def body(world, bucket):
        import asyncio

        upload = await bucket.createMultipartUpload("mp")
        await asyncio.sleep(7 * 86_400)
        assert await text_of(upload.uploadPart(1, "a")) == f"uploadPart: {NOT_OPEN}"

    in_world(body)
