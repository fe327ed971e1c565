"""The image of the tests' host: a minimal Debian with systemd, sshd and a bare Python; no pip, no venv.

Made once and kept as a tarball below ``.ci/cache/`` (not in the repository): by debootstrap from the mirror that the
machine's own apt uses, or, where that is missing or fails, from the Dockerfile beside it (needs a registry).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import docker
import docker.errors
import pytest

RECIPE = Path(__file__).parent / "host_image"
CACHE = Path(__file__).resolve().parents[2] / ".ci" / "cache"
APT = Path("/etc/apt")


def ensure_host_image(client: docker.DockerClient) -> str:
    """Return the name of the image, made if need be; skips by name where it cannot be made."""
    name = f"outrider-test-host:{_recipe_hash()}"
    with contextlib.suppress(docker.errors.ImageNotFound):
        client.images.get(name)
        return name
    tarball = host_tarball()
    if tarball.exists():
        _import(client, tarball, name)
    else:
        _build_with_dockerfile(client, name)
    return name


def host_tarball() -> Path:
    """Return the path of the image's content, which is made if it can be."""
    tarball = CACHE / f"host-{_recipe_hash()}.tar"
    if not tarball.exists():
        _make_with_debootstrap(tarball)
    return tarball


def _recipe_hash() -> str:
    digest = hashlib.sha256()
    for path in sorted(RECIPE.iterdir()):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _make_with_debootstrap(tarball: Path) -> None:
    source = _apt_source()
    if source is None or shutil.which("debootstrap") is None or os.geteuid() != 0:
        return
    mirror, release = source
    packages = ",".join((RECIPE / "packages").read_text(encoding="utf-8").split())
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="outrider-host-image-") as folder:
        root = Path(folder) / "root"
        command = ["debootstrap", "--variant=minbase", f"--include={packages}", release, str(root), mirror]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode != 0:
            print(f"debootstrap failed, trying the Dockerfile: {made.stdout[-500:]}")
            return
        shutil.copy(RECIPE / "prepare.sh", root / "root" / "prepare.sh")
        prepare = ["chroot", str(root), "sh", "-x", "/root/prepare.sh"]
        prepared = subprocess.run(prepare, capture_output=True, text=True, check=False)
        assert prepared.returncode == 0, f"prepare.sh failed: {prepared.stdout}{prepared.stderr}"
        (root / "root" / "prepare.sh").unlink()
        # Written aside and renamed: a run that is cut short leaves no half image.
        part = tarball.with_suffix(f".{os.getpid()}.part")
        subprocess.run(["tar", "-C", str(root), "-cf", str(part), "."], check=True)
        part.replace(tarball)


def _apt_source() -> tuple[str, str] | None:
    """Return the mirror and the release that this machine's apt installs from."""
    texts = [path.read_text(encoding="utf-8") for path in [*APT.glob("sources.list"), *APT.glob("sources.list.d/*")]]
    for text in texts:
        one_line = re.search(r"^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+([a-z]+)\s+main", text, re.MULTILINE)
        if one_line and "debian" in one_line[1] and "security" not in one_line[1]:
            return one_line[1], one_line[2]
        for stanza in text.split("\n\n"):
            fields = dict(re.findall(r"^(\S+):[ \t]*(\S+)", stanza, re.MULTILINE))
            if fields.get("Types", "").startswith("deb") and fields.get("URIs", "").rstrip("/").endswith("/debian"):
                return fields["URIs"], fields["Suites"]
    return None


def _import(client: docker.DockerClient, tarball: Path, name: str) -> None:
    repository, tag = name.split(":")
    with tarball.open("rb") as stream:
        client.api.import_image_from_data(stream, repository=repository, tag=tag)
    client.images.get(name)


def _build_with_dockerfile(client: docker.DockerClient, name: str) -> None:
    try:
        client.images.build(path=str(RECIPE), tag=name, rm=True)
    except (docker.errors.BuildError, docker.errors.APIError) as error:
        pytest.skip(f"the host image can neither be made by debootstrap nor from its Dockerfile: {error}")
