"""The content store and manifests: nothing half, nothing wrong, nothing outside."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading

import pytest

from outrider.dispatcher.files import ContentMismatch, ContentStore, NotStored, read_manifest, store_folder
from outrider.dispatcher.files.errors import FolderRefused
from tests.support.waiting import wait_until


@pytest.fixture
def store(tmp_path):
    return ContentStore(tmp_path / "files")


def leftovers(store):
    return [path for path in store.root.rglob("*") if path.is_file() and path.name != ".lock"]


def test_content_is_found_under_its_hash(store):
    stored = store.put(iter([b"one", b"two"]))
    assert stored.sha256 == hashlib.sha256(b"onetwo").hexdigest()
    assert stored.size_bytes == 6
    assert store.read(stored.sha256) == b"onetwo"
    assert store.path(stored.sha256) == store.root / stored.sha256[:2] / stored.sha256
    assert stored.sha256 in store
    assert list(store.hashes()) == [stored.sha256]


def test_a_wrong_hash_stores_nothing(store):
    with pytest.raises(ContentMismatch, match="instead of 0000"):
        store.put_bytes(b"x", expected="0" * 64)
    assert leftovers(store) == []


def test_a_writer_that_fails_leaves_nothing(store):
    def chunks():
        yield b"x"
        raise RuntimeError("upload broke")

    with pytest.raises(RuntimeError, match="upload broke"):
        store.put(chunks())
    assert leftovers(store) == []


@pytest.mark.parametrize("name", ["", "..", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 64 + "\n", ".lock"])
def test_what_is_no_hash_is_not_stored(store, name):
    assert name not in store
    with pytest.raises(NotStored):
        store.path(name)


def test_many_writers_of_the_same_and_of_different_content(store):
    data = [bytes([number % 4]) * 100_000 for number in range(16)]
    failures = []

    def write(content):
        try:
            store.put_bytes(content)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test must show it
            failures.append(error)

    threads = [threading.Thread(target=write, args=(each,)) for each in data]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failures == []
    assert len(leftovers(store)) == 4
    assert list(store.damaged()) == []


def test_a_killed_writer_leaves_nothing_that_looks_like_content(store):
    code = (
        "import sys, pathlib\n"
        "from outrider.dispatcher.files import ContentStore\n"
        "def chunks():\n"
        "    yield b'x' * 5_000_000\n"
        "    sys.stdout.write('.'); sys.stdout.flush(); sys.stdin.read()\n"
        f"ContentStore(pathlib.Path({str(store.root)!r})).put(chunks())\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert writer.stdout.read(1) == b"."
        writer.send_signal(signal.SIGKILL)
    finally:
        writer.kill()
        writer.wait(10)
        writer.stdin.close()
        writer.stdout.close()
    assert list(store.hashes()) == []
    assert len(leftovers(store)) == 1
    assert store.collect((), grace_seconds=-1).removed == 1
    assert leftovers(store) == []


def test_collection_keeps_what_is_referenced_or_young(store):
    kept, old, young = (store.put_bytes(each).sha256 for each in (b"kept", b"old", b"young"))
    for each in (kept, old, young):
        os.utime(store.path(each), (0, 0))
    store.put_bytes(b"young")
    collected = store.collect({kept})
    assert (collected.removed, collected.freed_bytes) == (1, 3)
    assert set(store.hashes()) == {kept, young}


def test_damaged_content_is_found(store):
    sha256 = store.put_bytes(b"good").sha256
    store.path(sha256).write_bytes(b"evil")
    assert list(store.damaged()) == [sha256]


@pytest.mark.parametrize("damage", [b"go", b"evil"], ids=["cut", "changed"])
def test_damaged_content_is_mended_by_an_upload(store, damage):
    sha256 = store.put_bytes(b"good").sha256
    store.path(sha256).write_bytes(damage)
    assert store.read(store.put_bytes(b"good").sha256) == b"good"


def test_waiting_collection_does_not_remove_what_is_put_meanwhile(store):
    sha256 = store.put_bytes(b"x").sha256
    os.utime(store.path(sha256), (0, 0))
    done = threading.Event()
    with store._locked(1):  # a writer is in its critical section
        thread = threading.Thread(target=lambda: (store.collect(()), done.set()))
        thread.start()
        os.utime(store.path(sha256))
    wait_until(done.is_set, timeout_seconds=10, describe="the collection ends")
    thread.join(10)
    assert sha256 in store


def test_a_manifest_names_every_file(store, tmp_path):
    folder = tmp_path / "blueprint"
    (folder / "scripts").mkdir(parents=True)
    (folder / "scripts" / "größe.sh").write_text("echo")
    (folder / "a.yaml").write_text("a: 1")
    (folder / "link.yaml").symlink_to("a.yaml")
    first = store_folder(store, folder)
    entries = read_manifest(store, first)
    assert sorted(entries) == ["a.yaml", "link.yaml", "scripts/größe.sh"]
    assert entries["a.yaml"] == entries["link.yaml"]
    assert store.read(entries["a.yaml"]) == b"a: 1"
    assert store_folder(store, folder) == first
    (folder / "a.yaml").write_text("a: 2")
    assert store_folder(store, folder) != first


def test_a_link_that_leads_out_of_the_blueprint_is_refused(store, tmp_path):
    folder = tmp_path / "blueprint"
    folder.mkdir()
    (folder / "shadow").symlink_to("/etc/hostname")
    with pytest.raises(FolderRefused, match="shadow"):
        store_folder(store, folder)


def test_a_missing_folder_is_refused(store, tmp_path):
    with pytest.raises(FolderRefused, match="is not a folder"):
        store_folder(store, tmp_path / "nothing")
