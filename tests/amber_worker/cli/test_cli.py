"""`amber export`: a folder in, a ZIP out, and clear words where that cannot be."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import signal
import socket
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from amber_worker.cli import run_command
from amber_worker.cli.exporting import ExportPlan
from amber_worker.cli.folder import FolderError, scan

GARDEN = Path(__file__).parents[3] / "fixtures" / "garden"


def contents_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def make(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def test_the_fixture_is_exported_whole(tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "export.zip"
    assert run_command(["export", str(GARDEN), "--out", str(out)]) == 0

    files = sorted(path for path in GARDEN.rglob("*") if path.is_file())
    contents = contents_of(out)
    assert len(contents) == len(files) + 2
    assert sorted(contents.values()).count(b"") == 1
    for path in files:
        assert path.read_bytes() in contents.values(), path
    printed = capsys.readouterr().out
    assert "Alarms" in printed
    closing = printed.splitlines()[-1]
    assert re.fullmatch(
        rf"{len(files)} files, [\d,]+ bytes, 0 missing, [\d.]+ s simulated, \d+ ms wall, "
        r"trace [0-9a-f]{16}",
        closing,
    )


def test_product_and_category_come_from_the_first_two_folders(tmp_path: Path) -> None:
    folder = make(
        tmp_path / "in",
        {
            "blog/posts/a.txt": b"1",
            "blog/posts/deep/er/b.txt": b"2",
            "ivy/c.txt": b"3",
            "music/d.txt": b"4",
            "music/jazz/e.txt": b"5",
            "f.txt": b"6",
            "blog/posts/deep/a.txt": b"7",
        },
    )
    out = tmp_path / "out.zip"
    assert run_command(["export", str(folder), "--out", str(out), "--product", "themes"]) == 0
    files = {k: v for k, v in contents_of(out).items() if "/" in k}
    assert files == {
        "blog/posts/a.txt": b"1",
        "blog/posts/b.txt": b"2",
        "ivy/uncategorized/c.txt": b"3",
        "themes/music/d.txt": b"4",
        "themes/music/e.txt": b"5",
        "themes/uncategorized/f.txt": b"6",
        "blog/posts/a (2).txt": b"7",
    }


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (["--type", "blog"], 2),
        (["--type", "ivy"], 1),
        (["--type", "category", "--category", "posts"], 1),
        (["--type", "full"], 4),
    ],
)
def test_the_type_chooses(tmp_path: Path, options: list[str], count: int) -> None:
    folder = make(
        tmp_path / "in",
        {"blog/posts/a": b"", "blog/x/b": b"", "ivy/mail/c": b"", "themes/t/d": b""},
    )
    out = tmp_path / "out.zip"
    assert run_command(["export", str(folder), "--out", str(out), *options]) == 0
    assert len(contents_of(out)) == count + 2


def test_missing_files_are_named_and_are_no_failure(tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "out.zip"
    arguments = ["export", str(GARDEN), "--out", str(out), "--missing", "3"]
    assert run_command(arguments) == 0
    printed = capsys.readouterr().out
    assert len(re.findall(r"^missing: .*: not found$", printed, re.MULTILINE)) == 3
    manifest = json.loads(contents_of(out)["manifest.json"])
    assert len(manifest["missing"]) == 3


def test_json_is_one_object_with_the_same_facts(tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "out.zip"
    folder = make(tmp_path / "in", {f"blog/p/{n:03d}": b"x" * 100 for n in range(120)})
    assert run_command(["export", str(folder), "--out", str(out), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["status"] == "completed"
    assert facts["file_count"] == 120
    assert facts["size_bytes"] == out.stat().st_size
    assert re.fullmatch("[0-9a-f]{64}", facts["digest"])
    steps = [(row["step"], row["rows"], row["size_bytes"]) for row in facts["alarms"]]
    assert steps == [("chunk", 100, 10_000), ("chunk", 20, 2_000), ("archive", 120, 12_000)]
    assert facts["alarms"][1]["time_ms"] - facts["alarms"][0]["time_ms"] >= 2_000


def test_one_seed_is_one_digest_and_one_archive(tmp_path: Path, capsys: Any) -> None:
    runs = []
    for number, seed in enumerate((5, 5, 6)):
        out = tmp_path / f"{number}.zip"
        arguments = ["export", str(GARDEN), "--out", str(out), "--json", "--seed", str(seed)]
        assert run_command(arguments) == 0
        runs.append((json.loads(capsys.readouterr().out)["digest"], out.read_bytes()))
    assert runs[0] == runs[1]
    assert runs[0][0] != runs[2][0]


def test_large_files_are_streamed(tmp_path: Path) -> None:
    content = os.urandom(3 * 1024 * 1024 + 17)
    folder = make(tmp_path / "in", {"blog/p/large.bin": content})
    out = tmp_path / "out.zip"
    assert run_command(["export", str(folder), "--out", str(out)]) == 0
    assert contents_of(out)["blog/p/large.bin"] == content


def refused(arguments: list[str], capsys: Any) -> str:
    assert run_command(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    return str(captured.err)


def test_a_folder_that_cannot_be_exported_is_named_with_exit_2(
    tmp_path: Path, capsys: Any
) -> None:
    out = tmp_path / "out.zip"
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    for name, words in (
        ("nowhere", "there is no folder"),
        ("file", "is not a folder"),
        ("empty", "holds no files"),
    ):
        told = refused(["export", str(tmp_path / name), "--out", str(out)], capsys)
        assert words in told
        assert str(tmp_path / name) in told
    assert not out.exists()


def test_a_name_that_is_not_utf8_is_refused_and_shown(tmp_path: Path, capsys: Any) -> None:
    folder = make(tmp_path / "in", {"blog/p/good": b""})
    bad = os.fsencode(folder / "blog" / "p") + b"/bad\xff.txt"
    try:
        Path(os.fsdecode(bad)).write_text("x")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    told = refused(["export", str(folder), "--out", str(tmp_path / "o.zip")], capsys)
    assert "is not UTF-8" in told
    assert r"bad\udcff.txt" in told


def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As root, which CI may be, every file can be read: refuse one here.
    folder = make(tmp_path / "in", {"blog/p/open": b"", "blog/p/secret": b""})
    real = Path.open

    def guarded(path: Path, *args: Any, **kwargs: Any) -> Any:
        if path.name == "secret":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", guarded)
    out = tmp_path / "out.zip"
    told = refused(["export", str(folder), "--out", str(out)], capsys)
    assert "secret" in told
    assert "Permission denied" in told
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--type", "category"], "belong together"),
        (["--category", "x"], "belong together"),
        (["--missing", "1000"], "there are only"),
        (["--missing", "-1"], "whole number"),
        (["--missing", "many"], "whole number"),
        (["--user", "a/b"], "--user must be"),
        (["--user", ""], "--user must be"),
        (["--user", ".."], "--user must be"),
        (["--user", " u1"], "--user must be"),
        (["--user", "ü" * 129], "--user must be"),
        (["--type", "all"], "invalid choice"),
        (["--nonsense"], "unrecognized"),
    ],
)
def test_options_that_cannot_be_meant_are_exit_2(
    tmp_path: Path, capsys: Any, options: list[str], words: str
) -> None:
    out = tmp_path / "out.zip"
    assert words in refused(["export", str(GARDEN), "--out", str(out), *options], capsys)
    assert not out.exists()


def test_a_place_that_cannot_be_written_is_told_before_anything_runs(
    tmp_path: Path, capsys: Any
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for out in (tmp_path / "no" / "folder.zip", tmp_path, pipe, tmp_path / ("x" * 300)):
        assert "cannot write" in refused(["export", str(GARDEN), "--out", str(out)], capsys)


def test_an_empty_path_is_not_the_current_folder(tmp_path: Path, capsys: Any) -> None:
    assert "must not be empty" in refused(["export", "", "--out", "x.zip"], capsys)
    assert "must not be empty" in refused(["export", str(GARDEN), "--out", ""], capsys)


def test_the_archive_goes_where_a_link_leads_and_the_link_stays(tmp_path: Path) -> None:
    link, target = tmp_path / "link.zip", tmp_path / "there" / "target.zip"
    target.parent.mkdir()
    link.symlink_to(target)
    assert run_command(["export", str(GARDEN), "--out", str(link)]) == 0
    assert link.is_symlink()
    assert "README.txt" in contents_of(target)
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("user", ["ü", "日本", "a?b#c%2F", "a b", "u" * 256])
def test_a_user_may_have_a_name_of_any_script(tmp_path: Path, user: str) -> None:
    folder = make(tmp_path / "in", {"blog/a/x.txt": b"x"})
    out = tmp_path / ("o" * 251 + ".zip")
    assert run_command(["export", str(folder), "--out", str(out), "--user", user]) == 0
    assert contents_of(out)["blog/a/x.txt"] == b"x"


def test_a_full_disk_is_told_and_leaves_nothing(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class FullDisk(io.BytesIO):
        def write(self, data: Any) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    real = Path.open

    def open_full(path: Path, mode: str = "r", *rest: Any, **options: Any) -> Any:
        opened = real(path, mode, *rest, **options)
        if path.parent != tmp_path or mode != "wb":
            return opened
        opened.close()
        return FullDisk()

    monkeypatch.setattr(Path, "open", open_full)
    out = tmp_path / "out.zip"
    assert "No space left" in refused(["export", str(GARDEN), "--out", str(out)], capsys)
    assert list(tmp_path.iterdir()) == []


def test_names_command_no_terminal(tmp_path: Path, capsys: Any) -> None:
    folder = make(tmp_path / "in", {"blog/a/\x1b[31mred": b"x"})
    (folder / "\x1b[2Jlink").symlink_to("nowhere")
    out = tmp_path / "out.zip"
    assert run_command(["export", str(folder), "--out", str(out), "--missing", "1"]) == 0
    told = "".join(capsys.readouterr())
    assert "\x1b" not in told
    assert "\\x1b[31mred: not found" in told
    assert "skipped \\x1b[2Jlink" in told


def test_links_and_sockets_are_skipped_with_a_warning_that_names_them(
    tmp_path: Path, capsys: Any
) -> None:
    folder = make(tmp_path / "in", {"blog/p/a": b"1"})
    (folder / "blog" / "link").symlink_to(folder / "blog" / "p" / "a")
    (folder / "blog" / "loop").symlink_to(folder)
    os.mkfifo(folder / "pipe")
    here = Path.cwd()
    listener = socket.socket(socket.AF_UNIX)
    try:
        os.chdir(folder)  # The path of a socket may not be long.
        listener.bind("sock")
    finally:
        os.chdir(here)
        listener.close()
    out = tmp_path / "out.zip"
    assert run_command(["export", str(folder), "--out", str(out)]) == 0
    warnings = capsys.readouterr().err.splitlines()
    assert warnings == [
        "amber: warning: skipped blog/link: a symbolic link",
        "amber: warning: skipped blog/loop: a symbolic link",
        "amber: warning: skipped pipe: a pipe",
        "amber: warning: skipped sock: a socket",
    ]
    assert len(contents_of(out)) == 3


def test_the_archive_of_an_earlier_run_is_not_exported_again(
    tmp_path: Path, capsys: Any
) -> None:
    folder = make(tmp_path / "in", {"blog/p/a": b"1"})
    arguments = ["export", str(folder), "--out", str(folder / "export.zip")]
    assert run_command(arguments) == 0
    first = contents_of(folder / "export.zip")
    assert run_command(arguments) == 0
    assert contents_of(folder / "export.zip") == first
    assert "the archive of an earlier run" in capsys.readouterr().err


def test_hostile_names_are_extracted_below_the_folder(
    tmp_path: Path, require_tool: Any
) -> None:
    unzip = require_tool("unzip")
    names = ["con", "a\\b", "c:d", "tab\there", "-rf", "*", "e ", "ü" * 120, "x.", "[1].txt"]
    folder = make(tmp_path / "in", {f"blog/p/{name}": name.encode() for name in names})
    out = tmp_path / "out.zip"
    assert run_command(["export", str(folder), "--out", str(out)]) == 0
    target = tmp_path / "extracted"
    subprocess.run(
        [unzip, "-q", str(out), "-d", str(target)], check=True, env={"LC_ALL": "C.UTF-8"}
    )
    found = {path.read_bytes() for path in target.rglob("*") if path.is_file()}
    assert {name.encode() for name in names} <= found


def test_an_export_that_fails_is_exit_1_and_writes_nothing(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import amber_worker.cli.exporting as exporting
    from emulator import faults

    real = exporting.options
    rule = faults.error(operation="r2.complete")
    monkeypatch.setattr(exporting, "options", lambda: real(faults=[rule]))
    out = tmp_path / "out.zip"
    assert run_command(["export", str(GARDEN), "--out", str(out)]) == 1
    assert "the export failed: Error: completeMultipartUpload" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("moment", ["loading", "streaming"])
def test_ctrl_c_leaves_nothing_behind_and_is_exit_130(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    from amber_worker.cli.report import Report

    def interrupt(report: Any, done: int, total: int | None) -> None:
        # By then the file that is written aside is there.
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Report, moment, interrupt)
    out = tmp_path / "out.zip"
    assert run_command(["export", str(GARDEN), "--out", str(out)]) == 130
    assert capsys.readouterr().err == "amber: interrupted\n"
    assert list(tmp_path.iterdir()) == []


def test_the_scan_is_in_the_order_of_paths_and_counts_bytes(tmp_path: Path) -> None:
    folder = make(tmp_path, {"b/x": b"12", "a/y": b"1", "a/b/z": b"", "c": b"123"})
    found = scan(folder)
    assert [file.relative for file in found.files] == ["a/b/z", "a/y", "b/x", "c"]
    assert [file.size_bytes for file in found.files] == [0, 1, 2, 3]


def test_a_path_too_long_for_a_key_keeps_its_end_behind_a_hash(tmp_path: Path) -> None:
    deep = "/".join(["ü" * 100] * 6)
    folder = make(tmp_path, {f"{deep}/name.txt": b"1", f"{deep}x/name.txt": b"2"})
    keys = [file.key("u1") for file in scan(folder).files]
    assert all(len(key.encode()) <= 1_024 and key.endswith("/name.txt") for key in keys)
    assert len(set(keys)) == 2


def test_help_tells_the_rule(capsys: Any) -> None:
    assert run_command(["export", "--help"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "Its product is the first folder level" in printed
    for option in ("--type", "--category", "--user", "--missing", "--seed", "--json"):
        assert option in printed


def test_a_file_that_changes_while_it_is_read_is_told(tmp_path: Path) -> None:
    from amber_worker.cli.exporting import run_export

    content = b"x" * (2 << 20)
    found = scan(make(tmp_path / "in", {"blog/p/a": content}))
    (tmp_path / "in" / "blog" / "p" / "a").write_bytes(content[:-1])
    plan = ExportPlan(
        files=found.files, out=tmp_path / "o.zip", user="u1", export_type="full",
        category=None, missing_count=0, seed=0,
    )  # fmt: skip

    class Silent:
        def loading(self, done: int, total: int) -> None: ...
        def streaming(self, done: int, total: int | None) -> None: ...

    with pytest.raises(FolderError, match="has changed while it was read"):
        run_export(plan, Silent())
