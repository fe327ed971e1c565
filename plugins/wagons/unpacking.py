"""From a wagon to the images of its wheels: verified once, and looked up from then on.

The first half of an install; `store` lays the images into an environment.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from .digest import file_sha256
from .disk import FILE_OVERHEAD_BYTES, require_room, write_durably
from .errors import DiskFull, NoFittingWagon
from .fitting import accepts_python, select_wheels
from .images import Image, WheelImages
from .limits import Limits
from .progress import Progress, ProgressCallback
from .target import Target
from .wagon import Wagon, WagonWheel, extract_wheels, read_wagon
from .wheel import Wheel
from .wheelname import normalize


@dataclass(frozen=True)
class UnpackedWagon:
    """The images to install for one target; the plugin's own wheel is the last, so that its files win."""

    wagon: Wagon
    images: tuple[Image, ...]

    @property
    def plugin_sha256(self) -> str:
        """The hash of the plugin's own wheel."""
        return self.images[-1].sha256


class WagonUnpacker:
    """Turns wagons into images. ``index`` is the folder that remembers which wheels a verified wagon has."""

    def __init__(self, images: WheelImages, *, index: Path, limits: Limits) -> None:
        self._images = images
        self._index = index
        self._limits = limits

    def unpack(
        self, wagon_file: Path, sha256: str, *, target: Target, work: Path, progress: ProgressCallback
    ) -> UnpackedWagon:
        """Return the images of the wheels that fit ``target``; unpack those that are not there, through ``work``.

        Raises ArchiveError, NoFittingWagon or StoreError. A full disk leaves none of the new images behind.
        """
        progress(Progress("verify", 0, 1, wagon_file.name))
        wagon = read_wagon(wagon_file, sha256=sha256, limits=self._limits)
        progress(Progress("verify", 1, 1, wagon_file.name))
        wheels = self._plugin_last(wagon, select_wheels(wagon, target))
        hashes = self._remembered(sha256)
        images = {name: image for name, digest in hashes.items() for image in [self._images.find(digest)] if image}
        missing = tuple(wheel for wheel in wheels if wheel.name.filename not in images)
        if missing:
            added = self._add(wagon, missing, work, progress)
            images.update(added)
            hashes.update({name: image.sha256 for name, image in added.items()})
            write_durably(self._index / f"{sha256}.json", json.dumps(hashes, indent=1, sort_keys=True).encode())
        chosen = tuple(images[wheel.name.filename] for wheel in wheels)
        self._require_python(wagon, chosen, target)
        return UnpackedWagon(wagon, chosen)

    def _add(
        self, wagon: Wagon, missing: tuple[WagonWheel, ...], work: Path, progress: ProgressCallback
    ) -> dict[str, Image]:
        packed = sum(wheel.size_bytes for wheel in missing)
        require_room(work, needed_bytes=packed, files=len(missing))
        folder = work / "wheels"
        folder.mkdir()
        extract_wheels(wagon, missing, folder, limits=self._limits)
        self._require_room_for(folder, wagon, missing)
        added: dict[str, Image] = {}
        try:
            for count, wheel in enumerate(missing, 1):
                path = folder / wheel.name.filename
                image = self._images.add(path, file_sha256(path), label=_label(wagon, wheel))
                path.unlink()
                added[wheel.name.filename] = image
                progress(Progress("unpack", count, len(missing), wheel.name.filename))
        except DiskFull:
            for image in added.values():
                self._images.drop(image.sha256)
            raise
        folder.rmdir()
        return added

    def _require_room_for(self, folder: Path, wagon: Wagon, missing: tuple[WagonWheel, ...]) -> None:
        """Refuse before the first file is written when the unpacked wheels and the environment would not fit."""
        size, files = 0, 0
        for wheel in missing:
            with Wheel(folder / wheel.name.filename, limits=self._limits, label=_label(wagon, wheel)) as opened:
                size += opened.unpacked_bytes
                files += opened.count
        require_room(folder, needed_bytes=size + files * FILE_OVERHEAD_BYTES, files=files)

    def _remembered(self, sha256: str) -> dict[str, str]:
        try:
            found = json.loads((self._index / f"{sha256}.json").read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        return {str(name): str(digest) for name, digest in found.items()}

    @staticmethod
    def _plugin_last(wagon: Wagon, wheels: tuple[WagonWheel, ...]) -> tuple[WagonWheel, ...]:
        return tuple(sorted(wheels, key=lambda wheel: (wheel.name.key == normalize(wagon.name), wheel.name.filename)))

    @staticmethod
    def _require_python(wagon: Wagon, images: tuple[Image, ...], target: Target) -> None:
        reasons = tuple(
            f"{image.wheel.name.filename} requires Python {image.wheel.requires_python}"
            for image in images
            if image.wheel.requires_python and not accepts_python(image.wheel.requires_python, target)
        )
        if reasons:
            message = f"{wagon.path}: this wagon does not fit {target.description}"
            raise NoFittingWagon(message, reasons={wagon.filename: reasons})


def _label(wagon: Wagon, wheel: WagonWheel) -> str:
    return f"{wagon.path}: {wheel.name.filename}"
