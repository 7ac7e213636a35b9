"""The manifest and the README: they tell what is there, and what is not."""

from __future__ import annotations

import json
from typing import Any

import emulator  # noqa: F401  # Makes Cloudflare's names importable.
from amber_worker.export_state import WrittenFile
from amber_worker.manifest import create_manifest, create_readme
from amber_worker.zip_stream import ZipEntry


def written(name: str, declared: int, size: int) -> WrittenFile:
    file = {
        "id": "1", "r2_key": f"k/{name}", "filename": name, "size_bytes": declared,
        "product": "blog", "category": "posts",
    }  # fmt: skip
    date = (2026, 1, 1, 0, 0, 0)
    return WrittenFile(file, ZipEntry(f"blog/posts/{name}", date, False, 0, size, 1, 0, 20))


def test_the_manifest_has_the_contracts_fields() -> None:
    missing = [{"r2_key": "k/gone", "filename": "gone", "reason": "not found"}]
    text = create_manifest([written("a", 3, 3), written("b", 9, 4)], missing, created="2026")
    manifest: Any = json.loads(text)

    assert manifest == {
        "version": "1.0",
        "created": "2026",
        "files": [
            {
                "filename": "a", "size": 3, "r2_key": "k/a", "product": "blog",
                "category": "posts", "path": "blog/posts/a",
            },
            {
                "filename": "b", "size": 4, "r2_key": "k/b", "product": "blog",
                "category": "posts", "path": "blog/posts/b", "declared_size": 9,
            },
        ],
        "missing": missing,
        "summary": {"totalFiles": 2, "totalSize": 7},
    }  # fmt: skip
    assert text == json.dumps(manifest, ensure_ascii=False, indent=2) + "\n"


def test_an_empty_manifest_is_the_same_json() -> None:
    text = create_manifest([], [], created='"\n☘')
    assert text == json.dumps(json.loads(text), ensure_ascii=False, indent=2) + "\n"
    assert json.loads(text)["created"] == '"\n☘'


def test_the_readme_tells_a_user_what_to_know() -> None:
    text = create_readme(file_count=3, missing_count=2, created="2026-01-01T00:00:00.000Z")
    for needed in (
        "Amber Export Archive", "Contents:", "manifest.json", "category", "Extraction:",
        "Created: 2026-01-01T00:00:00.000Z", "https://amber.autumnsgrove.dev", "2 files",
    ):  # fmt: skip
        assert needed in text
    assert "missing;" not in create_readme(file_count=3, missing_count=0, created="x")
