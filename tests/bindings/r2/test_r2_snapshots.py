"""Laws of a bucket that is taken and put back."""

from __future__ import annotations

import gc
import os
import subprocess
import sys

import pytest

from emulator.errors import JsException, WorldError

PART_BYTES = 5 * 1024 * 1024


def next_descriptor() -> int:
    """The lowest number that is free: it rises with each descriptor that is kept."""
    descriptor = os.dup(0)
    os.close(descriptor)
    return descriptor


def test_a_bucket_holds_what_was_taken_and_nothing_else(in_world, make_world):
    async def body(world, bucket):
        await bucket.put("a", "1", customMetadata={"k": "v"}, sha256=None)
        await bucket.put("large", b"x" * 300_000)
        first = await bucket.head("a")
        taken = world.storage.snapshot()
        other = make_world()
        await other.bucket().put("b", "2")
        other.storage.restore(taken)

        assert [o.key for o in (await other.bucket().list()).objects] == ["a", "large"]
        same = await other.bucket().head("a")
        assert (same.version, same.etag, same.uploaded) == (
            first.version,
            first.etag,
            first.uploaded,
        )
        assert same.customMetadata == {"k": "v"}
        assert await (await other.bucket().get("large")).bytes() == b"x" * 300_000
        other.storage.dispose()

    in_world(body)


def test_writes_of_one_side_are_not_seen_by_the_other(in_world, make_world):
    async def body(world, bucket):
        await bucket.put("a", "1")
        await bucket.put("large", b"x" * 300_000)
        other = make_world()
        other.storage.restore(world.storage.snapshot())
        await bucket.delete(["a", "large"])
        await bucket.put("new", b"y" * 300_000)
        assert await (await other.bucket().get("large")).bytes() == b"x" * 300_000
        await other.bucket().put("a", "2")
        assert await bucket.head("a") is None
        assert await other.bucket().head("new") is None
        other.storage.dispose()

    in_world(body)


def test_boto3_sees_what_was_put_back_and_its_writes_stay_apart(in_world, make_world):
    async def body(world, bucket):
        await bucket.put("a", "1")
        client = world.storage.s3_client()
        taken = world.storage.snapshot()
        await bucket.put("a", "2")
        await bucket.put("b", "2")
        world.storage.restore(taken)
        listed = client.list_objects_v2(Bucket="BUCKET")["Contents"]
        assert [entry["Key"] for entry in listed] == ["a"]

        other = make_world()
        other.bucket()
        other.storage.restore(taken)
        theirs = other.storage.s3_client()
        assert theirs.get_object(Bucket="BUCKET", Key="a")["Body"].read() == b"1"
        theirs.put_object(Bucket="BUCKET", Key="a", Body=b"boto")
        assert client.get_object(Bucket="BUCKET", Key="a")["Body"].read() == b"1"
        assert await (await other.bucket().get("a")).text() == "boto"
        other.storage.dispose()

    in_world(body)


def test_what_boto3_put_is_taken_too(in_world, make_world):
    async def body(world, bucket):
        client = world.storage.s3_client()
        client.put_object(Bucket="BUCKET", Key="theirs", Body=b"boto", Metadata={"k": "v"})
        other = make_world()
        other.bucket()
        other.storage.restore(world.storage.snapshot())
        found = await other.bucket().get("theirs")
        assert (await found.text(), found.customMetadata) == ("boto", {"k": "v"})
        other.storage.dispose()

    in_world(body)


def test_a_bucket_that_was_put_back_and_not_looked_at_imports_nothing():
    script = (
        "import sys, emulator\n"
        "from emulator.testing import fork, restore, snapshot\n"
        "from workers import WorkerEntrypoint\n"
        "class Default(WorkerEntrypoint): pass\n"
        "async def main():\n"
        "    async with emulator.Miniflare(worker=Default, r2_buckets=['B']) as mf:\n"
        "        async with fork(mf) as other:\n"
        "            restore(other, snapshot(other))\n"
        "            assert await other.get_r2_bucket('B').head('a') is None\n"
        "    assert not {'moto', 'boto3', 'botocore'} & set(sys.modules)\n"
        "emulator.run(main)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_uploads_that_are_over_are_over_after_a_restore(in_world, make_world):
    async def body(world, bucket):
        done = await bucket.createMultipartUpload("done")
        await done.complete([await done.uploadPart(1, "x")])
        gone = await bucket.createMultipartUpload("gone")
        await gone.abort()
        other = make_world()
        other.bucket()
        other.storage.restore(world.storage.snapshot())
        for upload in (done, gone):
            same = other.bucket().resumeMultipartUpload(upload.key, upload.uploadId)
            with pytest.raises(JsException, match="10024"):
                await same.uploadPart(1, "x")
        other.storage.dispose()

    in_world(body)


def test_a_part_that_is_put_again_on_one_side_is_the_old_one_on_the_other(in_world, make_world):
    async def body(world, bucket):
        upload = await bucket.createMultipartUpload("m")
        part = await upload.uploadPart(1, b"a" * PART_BYTES)
        other = make_world()
        other.bucket()
        other.storage.restore(world.storage.snapshot())
        await upload.uploadPart(1, b"b" * PART_BYTES)
        same = other.bucket().resumeMultipartUpload("m", upload.uploadId)
        await same.complete([part])
        assert await (await other.bucket().get("m", range={"length": 3})).text() == "aaa"
        other.storage.dispose()

    in_world(body)


def test_the_file_of_a_world_that_is_gone_is_closed_when_nobody_holds_its_bytes():
    from workers import WorkerEntrypoint

    import emulator
    from emulator.testing import snapshot

    class Default(WorkerEntrypoint):
        pass

    async def main():
        async with emulator.Miniflare(worker=Default, r2_buckets=["B"]) as mf:
            await mf.get_r2_bucket("B").put("k", b"x" * 200_000)
            return snapshot(mf)

    emulator.run(main)
    gc.collect()
    before = next_descriptor()
    taken = emulator.run(main)
    (record,) = taken.buckets["B"].records
    assert record.blob.read(0, 3) == b"xxx"
    assert next_descriptor() > before
    del taken, record
    gc.collect()
    assert next_descriptor() == before


def test_a_storage_that_was_disposed_of_cannot_be_put_back(in_world):
    async def body(world, bucket):
        await bucket.put("a", "1")
        taken = world.storage.snapshot()
        world.storage.dispose()
        with pytest.raises(WorldError):
            world.storage.restore(taken)

    in_world(body)


def test_a_fork_inside_of_a_mock_has_buckets_of_its_own():
    import boto3
    from moto import mock_aws
    from workers import WorkerEntrypoint

    import emulator
    from emulator.testing import fork

    class Default(WorkerEntrypoint):
        pass

    async def main():
        async with emulator.Miniflare(worker=Default, r2_buckets=["B"]) as mf:
            await mf.get_r2_bucket("B").put("k", "origin")
            client = boto3.client("s3", region_name="us-east-1")
            async with fork(mf) as other:
                await other.get_r2_bucket("B").put("k", "fork")
                assert client.get_object(Bucket="B", Key="k")["Body"].read() == b"origin"
                theirs = other.s3_client("B")
                assert theirs.get_object(Bucket="B", Key="k")["Body"].read() == b"fork"
            assert await (await mf.get_r2_bucket("B").get("k")).text() == "origin"

    with mock_aws():
        emulator.run(main)
