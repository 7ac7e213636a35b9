"""r2: object storage as a binding.

Promises: `R2Bucket` (what worker code calls), `R2Storage` (all buckets of one world, whose
`store(name)` is what a bucket is built on and whose `s3_client()` is boto3's view of it), the
objects and uploads that the bucket hands out, and the two profiles. Importing this imports
neither moto nor boto3. Leaves to others: names in `env`, worlds, faults.
"""

from __future__ import annotations

from emulator.bindings.r2.bucket import R2Bucket
from emulator.bindings.r2.multipart import R2MultipartUpload
from emulator.bindings.r2.objects import R2Object, R2ObjectBody
from emulator.bindings.r2.profile import DOCUMENTED, WORKERD, R2Profile
from emulator.bindings.r2.store import R2Storage, R2Store

__all__ = [
    "DOCUMENTED",
    "WORKERD",
    "R2Bucket",
    "R2MultipartUpload",
    "R2Object",
    "R2ObjectBody",
    "R2Profile",
    "R2Storage",
    "R2Store",
]
