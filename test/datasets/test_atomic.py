"""Files appear whole, under any number of writers, and nothing else is left."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pair_drive_core.datasets import atomic
from pair_drive_core.datasets.atomic import write_bytes

SIZE = 200_000


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def test_threads_on_one_path_write_it_whole(tmp_path):
    path = tmp_path / "new" / "file"
    contents = [bytes([k]) * SIZE for k in range(4)]
    write_bytes(path, contents[0])
    done = threading.Event()
    torn = []

    def read():
        while not done.is_set():
            content = path.read_bytes()
            if content not in contents:
                torn.append(len(content))

    with ThreadPoolExecutor(5) as pool:
        reader = pool.submit(read)
        writers = [pool.submit(write_bytes, path, content) for content in contents * 20]
        try:
            for writer in writers:
                writer.result()
        finally:
            done.set()
        reader.result()
    assert torn == []
    assert names(path.parent) == ["file"]


@pytest.mark.parametrize("fails", ["write", "sync", "rename"])
def test_a_failure_leaves_what_was_there_and_nothing_else(tmp_path, monkeypatch, fails):
    path = tmp_path / "file"
    write_bytes(path, b"before")

    def full(*_):
        raise OSError(28, "no space left")

    target, name = {
        "write": (type(path), "write_bytes"),
        "sync": (os, "fsync"),
        "rename": (type(path), "replace"),
    }[fails]
    with monkeypatch.context() as patch:
        patch.setattr(target, name, full)
        with pytest.raises(OSError, match="no space left"):
            write_bytes(path, b"after")
    assert path.read_bytes() == b"before"
    assert names(tmp_path) == ["file"]


def test_content_is_on_the_disk_before_its_name_and_then_the_name(tmp_path, monkeypatch):
    steps = []
    path = tmp_path / "file"
    monkeypatch.setattr(atomic, "_sync", lambda what: steps.append(("sync", what.is_dir(), path.exists())))
    write_bytes(path, b"x")
    assert steps == [("sync", False, False), ("sync", True, True)]


def test_a_file_may_be_read_as_any_other(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    write_bytes(tmp_path / "whole", b"")
    assert (tmp_path / "whole").stat().st_mode == (tmp_path / "plain").stat().st_mode
