"""A wagon of 500 MB goes through a manager whose memory does not grow with it."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import zipfile
from pathlib import Path

import pytest

from tests.support.managers import manager_process
from tests.support.wagons import WagonMaker, wheel_bytes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MIB = 2**20
SIZE_MIB = 500
#: What a manager may take more than before: buffers, and what the interpreter keeps.
ALLOWED_MIB = 64
BLOCK = bytes(range(256)) * (MIB // 256)


def large_wagon(folder: Path) -> Path:
    """Write a wagon whose one wheel holds a file of the size; nothing is compressed, to be quick."""
    small = WagonMaker(name="large").write(folder)
    digest = hashlib.sha256()
    for _ in range(SIZE_MIB):
        digest.update(BLOCK)
    hashed = base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()
    with zipfile.ZipFile(small) as wagon:
        wheel_name = next(name for name in wagon.namelist() if name.endswith(".whl"))
        others = {name: wagon.read(name) for name in wagon.namelist() if name != wheel_name}
    with zipfile.ZipFile(io.BytesIO(wheel_bytes("large"))) as wheel:
        parts = {name: wheel.read(name) for name in wheel.namelist()}
    record = next(name for name in parts if name.endswith("RECORD"))
    parts[record] += f"large.bin,sha256={hashed},{SIZE_MIB * MIB}\n".encode()
    path = folder / "wheel"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, content in parts.items():
            wheel.writestr(name, content)
        with wheel.open("large.bin", "w", force_zip64=True) as member:
            for _ in range(SIZE_MIB):
                member.write(BLOCK)
    large = folder / f"big-{small.name}"
    with zipfile.ZipFile(large, "w") as wagon:
        for name, content in others.items():
            wagon.writestr(name, content)
        wagon.write(path, wheel_name)
    path.unlink()
    return large


def peak_mib(pid: int) -> float:
    """Return the most memory that a process ever held."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def test_a_large_wagon_uploads_with_flat_memory(tmp_path: Path) -> None:
    wagon = large_wagon(tmp_path)
    with manager_process(tmp_path / "home") as running:
        assert running.pid is not None
        assert running.call("POST", "/plugins", data=WagonMaker(name="warm").write(tmp_path).read_bytes()).ok
        before = peak_mib(running.pid)
        with wagon.open("rb") as body:
            answer = running.call("POST", "/plugins", data=body)
        assert answer.status_code == 201, answer.text
        assert peak_mib(running.pid) < before + ALLOWED_MIB
        plugin = answer.json()["id"]
        with running.call("GET", f"/plugins/{plugin}/archive", stream=True) as download:
            got = sum(len(chunk) for chunk in download.iter_content(MIB))
        assert got == wagon.stat().st_size
        assert peak_mib(running.pid) < before + ALLOWED_MIB
        assert list((running.home / "uploads").iterdir()) == []
