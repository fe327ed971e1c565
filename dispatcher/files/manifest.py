"""A blueprint's resources as content: every file by its hash, and a manifest that says which path has which hash.

The manifest is content itself, a JSON object ``{path: sha256}`` with sorted keys, so equal folders have equal
manifests. Tasks carry its hash (`OperationTask.resources`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from outrider.dispatcher.files.content import ContentStore, sha256_of
from outrider.dispatcher.files.errors import FolderRefused


def store_folder(store: ContentStore, folder: Path) -> str:
    """Store all files below a folder and return the hash of the manifest.

    Symbolic links are followed inside the folder; one that leads out of it would publish something of the machine
    and raises FolderRefused, as do paths that are not UTF-8.
    """
    root = folder.resolve()
    if not root.is_dir():
        raise FolderRefused(f"{folder} is not a folder: a blueprint's resources are the files beside it")
    entries = {path: store.put_file(file).sha256 for path, file in _files(root)}
    text = json.dumps(entries, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return store.put_bytes(text.encode("utf-8")).sha256


def read_manifest(store: ContentStore, sha256: str) -> Mapping[str, str]:
    """Return path → hash of a manifest; raises NotStored."""
    entries: dict[str, str] = json.loads(store.read(sha256))
    return entries


def changed_files(store: ContentStore, sha256: str, folder: Path) -> list[str]:
    """Return which files of a manifest a folder has otherwise, or no longer; raises NotStored."""
    changed = []
    for path, expected in read_manifest(store, sha256).items():
        try:
            same = sha256_of(folder / path) == expected
        except OSError:
            same = False
        if not same:
            changed.append(path)
    return changed


def _files(root: Path) -> Iterator[tuple[str, Path]]:
    # os.walk does not descend into linked folders: a link to a parent would never end.
    for place, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            file = Path(place, name)
            target = file.resolve()
            relative = file.relative_to(root).as_posix()
            if not target.is_relative_to(root):
                raise FolderRefused(
                    f"{relative} in {root} is a link to {target}, outside of the blueprint: copy the file"
                )
            try:
                relative.encode("utf-8")
            except UnicodeEncodeError as error:
                raise FolderRefused(f"{relative!r} in {root} is not a UTF-8 name: rename the file") from error
            if target.is_file():
                yield relative, target
