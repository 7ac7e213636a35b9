"""Laws of what boto3 and moto see, of two worlds, and of what is imported when."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from emulator.bindings.r2.spool import Spool
from emulator.errors import WorldError


def test_moto_is_imported_with_the_first_byte_and_not_before():
    script = (
        "import sys\n"
        "from emulator.bindings.r2 import R2Bucket, R2Storage\n"
        "from emulator.durable_objects.context import IoContext\n"
        "from emulator.simulation.runner import current_simulation, run\n"
        "async def main():\n"
        "    s = current_simulation()\n"
        "    storage = R2Storage(now_ms=lambda: 0, token_hex=s.randomness.token_hex)\n"
        "    store, outside = storage.store('B'), IoContext(s, 't')\n"
        "    bucket = R2Bucket(store, binding_name='B', outside=outside)\n"
        "    await bucket.head('a'); await bucket.list(); await bucket.delete('a')\n"
        "    assert not {'moto', 'boto3', 'botocore'} & set(sys.modules)\n"
        "    await bucket.put('a', 'x')\n"
        "    assert 'moto' in sys.modules\n"
        "run(main)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_two_worlds_do_not_see_each_other(in_world, make_world):
    async def body(world, bucket):
        other = make_world()
        await bucket.put("a", "one")
        await other.bucket().put("a", "two")
        assert await (await bucket.get("a")).text() == "one"
        other.storage.dispose()
        assert await (await bucket.get("a")).text() == "one"

    in_world(body)


def test_boto3_reads_and_writes_a_worlds_objects_without_a_mock(in_world):
    async def body(world, bucket):
        await bucket.put("small", "s", httpMetadata={"contentType": "text/x"})
        await bucket.put("large", b"l" * 300_000)
        client = world.storage.s3_client()
        small = client.get_object(Bucket="BUCKET", Key="small")
        assert (small["Body"].read(), small["ContentType"]) == (b"s", "text/x")
        part = client.get_object(Bucket="BUCKET", Key="large", Range="bytes=5-7")
        assert part["Body"].read() == b"lll"
        client.put_object(Bucket="BUCKET", Key="theirs", Body=b"boto", Metadata={"k": "v"})
        head = await bucket.head("theirs")
        assert (head.size, head.customMetadata) == (4, {"k": "v"})
        assert head.version == (await bucket.head("theirs")).version
        client.delete_object(Bucket="BUCKET", Key="small")
        assert await bucket.head("small") is None

    in_world(body)


def test_objects_outlive_a_mock_that_starts_and_stops(in_world):
    async def body(world, bucket):
        from moto import mock_aws

        await bucket.put("small", "s")
        await bucket.put("large", b"l" * 300_000)
        client = world.storage.s3_client()
        client.put_object(Bucket="BUCKET", Key="theirs", Body=b"boto")
        with mock_aws():
            import boto3

            assert client.list_objects_v2(Bucket="BUCKET")["KeyCount"] == 3
            outer = boto3.client("s3", region_name="us-east-1")
            assert outer.list_buckets()["Buckets"] == []
            outer.create_bucket(Bucket="BUCKET")
        for key, size in (("small", 1), ("large", 300_000), ("theirs", 4)):
            assert len(await (await bucket.get(key)).bytes()) == size

    in_world(body)


def test_inside_a_mock_boto3_and_the_worker_share_one_bucket(in_world):
    from moto import mock_aws

    async def body(world, bucket):
        import boto3

        client = boto3.client("s3", region_name="us-east-1")
        assert [b["Name"] for b in client.list_buckets()["Buckets"]] == ["BUCKET"]
        await bucket.put("ours", b"x" * 100_000)
        assert len(client.get_object(Bucket="BUCKET", Key="ours")["Body"].read()) == 100_000
        client.put_object(Bucket="BUCKET", Key="theirs", Body=b"boto")
        assert await (await bucket.get("theirs")).text() == "boto"

    with mock_aws():
        in_world(body)


def test_inside_a_mock_a_worlds_client_sends_each_request_once(in_world):
    from moto import mock_aws

    async def body(world, bucket):
        client = world.storage.s3_client()
        client.put_object(Bucket="BUCKET", Key="theirs", Body=b"boto")
        assert await (await bucket.get("theirs")).text() == "boto"
        client.create_multipart_upload(Bucket="BUCKET", Key="parts")
        assert len(client.list_multipart_uploads(Bucket="BUCKET")["Uploads"]) == 1

    async def late(world, bucket):
        await bucket.put("ours", "x")
        with mock_aws():
            await body(world, bucket)
            import boto3

            outer = boto3.client("s3", region_name="us-east-1")
            assert outer.list_buckets()["Buckets"] == []

    with mock_aws():
        in_world(body)
    in_world(late)


def test_a_shared_bucket_is_empty_after_its_mock(in_world):
    from moto import mock_aws

    async def body(world, bucket):
        await bucket.put("a", "x")
        mock.stop()
        assert await bucket.head("a") is None

    mock = mock_aws()
    mock.start()
    in_world(body)


def test_moto_keeps_nothing_of_a_world(in_world):
    from moto.s3.models import FakeAcl, FakeBucket, FakeGrant, FakeGrantee, FakeKey

    async def body(world, bucket):
        await bucket.put("a", "x")

    models = (FakeAcl, FakeBucket, FakeGrant, FakeGrantee, FakeKey)
    before = [len(model.instances_tracked) for model in models]
    in_world(body)
    assert [len(model.instances_tracked) for model in models] == before


def test_a_disposed_world_says_so(in_world):
    async def body(world, bucket):
        await bucket.put("a", b"x" * 200_000)
        got = await bucket.get("a")
        world.storage.dispose()
        world.storage.dispose()
        with pytest.raises(WorldError):
            await got.bytes()
        with pytest.raises(WorldError):
            await bucket.put("b", "x")

    in_world(body)


def test_a_fork_makes_both_sides_go_on_in_files_of_their_own():
    spool = Spool()
    before = spool.blob(b"0" * 100_000)
    child = os.fork()
    mine = spool.blob(b"c" * 100_000 if child == 0 else b"p" * 100_000)
    if child == 0:
        is_right = mine.read(0, 100_000) == b"c" * 100_000
        is_right = is_right and before.read(0, 100_000) == b"0" * 100_000
        os._exit(0 if is_right else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert mine.read(0, 100_000) == b"p" * 100_000
    assert before.read(0, 100_000) == b"0" * 100_000
    spool.close()


def next_descriptor() -> int:
    """The lowest number that is free: it rises with each descriptor that is kept."""
    descriptor = os.dup(0)
    os.close(descriptor)
    return descriptor


def test_ten_thousand_objects_cost_one_descriptor(in_world):
    async def body(world, bucket):
        await bucket.put("k", b"x" * 70_000)
        before = next_descriptor()
        store = world.storage.store("BUCKET")
        blob = store.spool.blob(b"x" * 70_000)
        for index in range(10_000):
            store.commit(
                f"k{index}", blob, etag="e", http_metadata={}, custom_metadata={},
                checksums={}, storage_class=None,
            )  # fmt: skip
        assert next_descriptor() == before

    in_world(body)
