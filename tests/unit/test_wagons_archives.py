"""Hostile and broken archives: each is refused with an error that names archive, member, reason and remedy."""

from __future__ import annotations

import gzip
import io
import stat
import tarfile
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outrider.plugins.wagons import Limits, read_wagon, verify_wagon
from outrider.plugins.wagons.archive import open_archive, unsafe_name
from outrider.plugins.wagons.errors import (
    ArchiveError,
    BadMetadata,
    BadRecord,
    DigestMismatch,
    LimitExceeded,
    MissingWheel,
    UnreadableArchive,
    UnsafeMember,
)
from outrider.plugins.wagons.wheel import Wheel
from tests.support.wagons import WagonMaker, sha256_of, tar_bytes, wheel_bytes, zip_bytes

FORMATS = pytest.mark.parametrize("tar", [False, True], ids=["zip", "tar.gz"])


@FORMATS
def test_a_right_wagon_is_read_in_both_formats(tmp_path: Path, tar: bool) -> None:
    path = WagonMaker(pythons=["py311"]).write(tmp_path, tar=tar)

    wagon = read_wagon(path, sha256=sha256_of(path))

    assert (wagon.name, wagon.version, wagon.pythons) == ("demo", "1.0", ("py311",))
    assert [wheel.name.filename for wheel in wagon.wheels] == ["demo-1.0-py3-none-any.whl"]
    assert wagon.size_bytes == path.stat().st_size
    assert verify_wagon(path).ok


@FORMATS
@pytest.mark.parametrize(
    "name",
    ["../evil", "demo/../../evil", "/etc/evil", "demo\\evil", "demo//evil", "demo/./evil", "demo/\nevil", "x" * 300],
)
def test_a_member_that_leads_elsewhere_is_refused(tmp_path: Path, tar: bool, name: str) -> None:
    path = WagonMaker(extra={name: b"evil"}).write(tmp_path, tar=tar)

    with pytest.raises(UnsafeMember) as caught:
        read_wagon(path)

    assert str(path) in str(caught.value)
    assert caught.value.member == repr(name)
    assert caught.value.remedy


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes) -> None:
    path = tmp_path / "evil.wgn"
    with tarfile.open(path, "w:gz") as archive:
        info = tarfile.TarInfo("demo/thing")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)

    with pytest.raises(UnsafeMember, match="demo/thing"):
        read_wagon(path)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices_in_a_zip_are_refused(tmp_path: Path, kind: int) -> None:
    path = tmp_path / "evil.wgn"
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo("demo/thing")
        info.create_system, info.external_attr = 3, (kind | 0o777) << 16
        archive.writestr(info, "/etc/passwd")

    with pytest.raises(UnsafeMember, match="demo/thing"):
        read_wagon(path)


def test_a_member_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "twice.wgn"
    with tarfile.open(path, "w:gz") as archive:
        for content in (b"one", b"two"):
            info = tarfile.TarInfo("demo/wheels/demo-1.0-py3-none-any.whl")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))

    with pytest.raises(UnsafeMember, match="is there twice"):
        read_wagon(path)


def test_a_file_that_is_a_folder_as_well_is_refused(tmp_path: Path) -> None:
    path = WagonMaker(extra={"demo/a": b"", "demo/a/b": b""}).write(tmp_path)

    with pytest.raises(UnsafeMember, match="a file and a folder"):
        read_wagon(path)


@FORMATS
def test_too_many_members_are_refused(tmp_path: Path, tar: bool) -> None:
    path = WagonMaker(extra={f"demo/files/{number}": b"" for number in range(50)}).write(tmp_path, tar=tar)

    with pytest.raises(LimitExceeded, match="more than 20 members"):
        read_wagon(path, limits=Limits(members=20))


@FORMATS
def test_a_bomb_is_refused_by_size_and_by_ratio(tmp_path: Path, tar: bool) -> None:
    path = WagonMaker(extra={"demo/files/zeros": bytes(20 * 2**20)}).write(tmp_path, tar=tar)

    with pytest.raises(LimitExceeded, match="unpacks to more than"):
        read_wagon(path, limits=Limits(unpacked_bytes=2**20))
    with pytest.raises(LimitExceeded, match="times its size"):
        read_wagon(path, limits=Limits(ratio_from_bytes=2**20))


def test_a_bomb_of_holes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sparse.wgn"
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as tar:
        hole = tarfile.TarInfo("demo/wheels/demo-1.0-py3-none-any.whl")
        hole.pax_headers = {"GNU.sparse.map": "0,0", "GNU.sparse.size": str(2**21)}
        tar.addfile(hole)

    with pytest.raises(LimitExceeded, match="unpacks to more than"):
        read_wagon(path, limits=Limits(unpacked_bytes=2**20))


def test_a_gzip_bomb_without_members_is_noticed_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "bomb.wgn"
    with tarfile.open(path, "w:gz") as archive:
        info = tarfile.TarInfo("demo/zeros")
        info.size = 64 * 2**20
        archive.addfile(info, io.BytesIO(bytes(info.size)))

    with pytest.raises(LimitExceeded):
        read_wagon(path, limits=Limits(unpacked_bytes=2**20))


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "neither a zip nor a tar.gz"), (b"hello", "neither"), (b"PK\x03\x04 broken", "is damaged")],
)
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "broken.wgn"
    path.write_bytes(content)

    with pytest.raises(UnreadableArchive, match=reason):
        read_wagon(path)


@FORMATS
def test_a_wagon_that_was_cut_off_is_refused(tmp_path: Path, tar: bool) -> None:
    path = WagonMaker().write(tmp_path, tar=tar)
    path.write_bytes(path.read_bytes()[:-40])

    with pytest.raises(UnreadableArchive, match=r"broken|damaged"):
        read_wagon(path)


def test_a_wrong_hash_names_both(tmp_path: Path) -> None:
    path = WagonMaker().write(tmp_path)

    with pytest.raises(DigestMismatch) as caught:
        read_wagon(path, sha256="0" * 64)

    assert sha256_of(path) in str(caught.value)
    assert "0" * 64 in str(caught.value)


def test_a_wheel_that_the_metadata_names_and_that_is_missing_is_named(tmp_path: Path) -> None:
    wheels = ["demo-1.0-py3-none-any.whl", "lost-2.0-py3-none-any.whl"]
    path = WagonMaker(metadata={"wheels": wheels}).write(tmp_path)

    with pytest.raises(MissingWheel, match=r"lost-2\.0-py3-none-any\.whl"):
        read_wagon(path)


def test_a_wagon_without_its_plugins_own_wheel_is_refused(tmp_path: Path) -> None:
    path = WagonMaker(wheels={"other-1.0-py3-none-any.whl": wheel_bytes("other")}).write(tmp_path)

    with pytest.raises(MissingWheel, match="no wheel of demo itself"):
        read_wagon(path)


@pytest.mark.parametrize(
    ("maker", "reason"),
    [
        (WagonMaker(metadata={"package_name": None}), "package_name"),
        (WagonMaker(metadata={"wheels": 5}), "wheels"),
        (WagonMaker(extra={"second/file": b""}), "one folder"),
        (WagonMaker(extra={"demo/wheels/what.whl": b""}), "what.whl"),
        (WagonMaker(extra={"demo/package.json": b"[]"}), "not a JSON object"),
        (WagonMaker(extra={"demo/package.json": b"{"}), "not valid JSON"),
        (WagonMaker(extra={"demo/package.json": b"[" * 100_000}), "not valid JSON"),
    ],
)
def test_metadata_that_cannot_be_understood_is_refused(tmp_path: Path, maker: WagonMaker, reason: str) -> None:
    with pytest.raises(BadMetadata, match=reason):
        read_wagon(maker.write(tmp_path))


def _wheel(tmp_path: Path, content: bytes, name: str = "demo-1.0-py3-none-any.whl") -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


def test_a_wheels_content_must_be_what_its_record_says(tmp_path: Path) -> None:
    files = {"demo.py": b"good"}
    right = wheel_bytes(files=files)
    with zipfile.ZipFile(io.BytesIO(right)) as archive:
        record = archive.read("demo-1.0.dist-info/RECORD").decode()
    path = _wheel(tmp_path, wheel_bytes(files={"demo.py": b"evil"}, record=record))

    with Wheel(path) as wheel, pytest.raises(BadRecord, match=r"demo\.py.*not what RECORD says"):
        wheel.verify()


def test_a_wheels_files_must_be_those_of_its_record(tmp_path: Path) -> None:
    with pytest.raises(BadRecord, match="not listed in RECORD"):
        Wheel(_wheel(tmp_path, wheel_bytes(record="")))
    with zipfile.ZipFile(io.BytesIO(wheel_bytes())) as archive:
        record = archive.read("demo-1.0.dist-info/RECORD").decode()
    with pytest.raises(BadRecord, match="listed in RECORD, but not there"):
        Wheel(_wheel(tmp_path, wheel_bytes(record=f"{record}ghost.py,sha256=x,1\n")))


def test_a_weak_hash_in_record_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(wheel_bytes())) as archive:
        record = archive.read("demo-1.0.dist-info/RECORD").decode()

    with pytest.raises(BadRecord, match="'md5'"):
        Wheel(_wheel(tmp_path, wheel_bytes(record=record.replace("sha256=", "md5="))))


@pytest.mark.parametrize("text", ["[console_scripts]\n../evil = a:b", "[console_scripts]\nx = rm -rf", "no section"])
def test_entry_points_cannot_leave_bin(tmp_path: Path, text: str) -> None:
    with Wheel(_wheel(tmp_path, wheel_bytes(entry_points=text))) as wheel, pytest.raises(BadMetadata):
        wheel.verify()


def test_a_wheel_with_a_damaged_member_is_refused(tmp_path: Path) -> None:
    content = bytearray(wheel_bytes(files={"demo.py": bytes(range(256)) * 40}))
    content[60] ^= 0xFF

    with pytest.raises(ArchiveError, match=r"demo"), Wheel(_wheel(tmp_path, bytes(content))) as wheel:
        wheel.verify()


def test_verify_tells_every_broken_wheel(tmp_path: Path) -> None:
    broken = wheel_bytes("other", record="")
    maker = WagonMaker(
        wheels={
            "demo-1.0-py3-none-any.whl": wheel_bytes("demo", record=""),
            "other-1.0-py3-none-any.whl": broken,
            "fine-1.0-py3-none-any.whl": wheel_bytes("fine"),
        }
    )

    found = verify_wagon(maker.write(tmp_path)).problems

    assert [type(problem) for problem in found] == [BadRecord, BadRecord]
    assert ["demo-1.0" in found[0].archive, "other-1.0" in found[1].archive] == [True, True]


@settings(max_examples=300, deadline=None)
@given(name=st.text(max_size=40))
def test_no_accepted_name_leads_outside(name: str) -> None:
    if unsafe_name(name) is None:
        root = Path("/root-of-all")
        joined = Path(f"{root}/{name}")
        assert root in joined.parents
        assert ".." not in joined.parts


@settings(max_examples=150, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("tar", [False, True], ids=["zip", "tar.gz"])
def test_damage_anywhere_is_an_archive_error_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, tar: bool, data: st.DataObject
) -> None:
    content = bytearray((tar_bytes if tar else zip_bytes)(WagonMaker().members()))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(4, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "demo.wgn"
    path.write_bytes(bytes(content))

    with suppress(ArchiveError):  # any other exception fails the test
        verify_wagon(path)


def test_an_archive_with_trailing_rubbish_in_gzip_is_no_surprise(tmp_path: Path) -> None:
    path = tmp_path / "demo.wgn"
    path.write_bytes(gzip.compress(b"not a tar file at all" * 100))

    with pytest.raises(UnreadableArchive):
        open_archive(path)
