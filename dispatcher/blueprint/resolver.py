"""Finds the text behind an import: bundled types, files, URLs, plugins and blueprints of a catalogue.

`imports.py` asks; this module knows the forms and the limits: what an uploaded blueprint may read, how long a server
may take, how much it may send.
"""

from __future__ import annotations

import re
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Union
from urllib.parse import unquote, urljoin, urlsplit

from outrider.dispatcher.blueprint.settings import CataloguePlugin, Settings

BUNDLED_FOLDER = Path(__file__).with_name("types")
BUNDLED_NAME = "cloudify/types/types.yaml"
_TYPES_URL = re.compile(r"https?://.*/spec/cloudify/[^/]+/types(_\d_\d)?\.yaml")
_BUNDLED = re.compile(r"(.*/)?cloudify/types/types(_\d_\d)?\.yaml")
_URL = re.compile(r"(https?|ftp)://", re.IGNORECASE)


class NotResolved(Exception):
    """The import names nothing that can be read; the text says what was tried."""


class Forbidden(NotResolved):
    """The import names something that this blueprint may not read."""


@dataclass(frozen=True)
class Text:
    """What an import's name led to."""

    #: As people know it: a path, a URL.
    name: str
    text: str
    #: What relative imports in it are relative to: a folder, a URL, or nothing.
    base: Union[Path, str, None] = None
    #: The built-in types: other files may be merged over them freely.
    bundled: bool = False
    #: Of a plugin import: the catalogue's record.
    plugin: Optional[CataloguePlugin] = None


def is_url(name: str) -> bool:
    """Return whether an import, a script or a plugin's source is a URL."""
    return bool(_URL.match(name))


class Resolver:
    """Reads imports for one blueprint whose folder is `root`."""

    def __init__(self, root: Path, settings: Settings, version: tuple[int, int]) -> None:
        self._root = root.resolve()
        self._settings = settings
        self._suffix = f"_{version[0]}_{version[1]}"

    def read(self, name: str, base: Union[Path, str, None]) -> Text:
        """Return the text of an import as seen from a file in `base`; raises `NotResolved`."""
        if _BUNDLED.fullmatch(name) or _TYPES_URL.fullmatch(name):
            return self._bundled(name)
        tried = []
        for rule in self._settings.resolver_rules:
            if name.startswith(rule.prefix):
                try:
                    return self._plain(rule.replacement + name[len(rule.prefix) :], None, trusted=True)
                except NotResolved as exc:
                    tried.append(str(exc))
        if tried and not self._settings.fallback:
            raise NotResolved("; ".join(tried))
        return self._plain(name, base, trusted=False)

    def _bundled(self, name: str) -> Text:
        for candidate in (f"types{self._suffix}.yaml", "types.yaml"):
            path = BUNDLED_FOLDER / candidate
            if path.is_file():
                return Text(name=name, text=path.read_text(encoding="utf-8"), bundled=True)
        raise NotResolved("the bundled types are missing from this installation")

    def _plain(self, name: str, base: Union[Path, str, None], *, trusted: bool) -> Text:
        if is_url(name):
            return self._fetch(name)
        if name.startswith("file:"):
            return self._file([Path(unquote(urlsplit(name).path))], name, trusted=trusted)
        if isinstance(base, str):
            return self._fetch(urljoin(base, name))
        path = Path(name.removeprefix("resource:"))
        candidates = [path] if path.is_absolute() else [folder / path for folder in (base, self._root) if folder]
        return self._file(candidates, name, trusted=trusted)

    def _file(self, candidates: list[Path], name: str, *, trusted: bool) -> Text:
        for candidate in candidates:
            for path in (candidate.with_name(f"{candidate.stem}{self._suffix}{candidate.suffix}"), candidate):
                if not trusted and self._settings.confine and not self._inside(path):
                    raise Forbidden(f"{name} leads out of the blueprint's folder")
                try:
                    if path.is_file():
                        return Text(name=str(path), text=read_file(path, self._settings), base=path.parent)
                except (OSError, ValueError) as exc:
                    raise NotResolved(f"{path} cannot be read: {exc}") from exc
        raise NotResolved("there is no file " + " or ".join(dict.fromkeys(str(item) for item in candidates)))

    def _inside(self, path: Path) -> bool:
        return path.resolve().is_relative_to(self._root)

    def _fetch(self, url: str) -> Text:
        if not self._settings.allow_http:
            raise Forbidden(f"{url} is not read: imports over the network are switched off in the settings")
        if not url.lower().startswith(("http://", "https://")):
            raise Forbidden(f"{url} is not read: only http and https are")
        for attempt in range(1, self._settings.http_attempts + 1):
            try:
                return Text(name=url, text=self._request(url), base=url)
            except urllib.error.HTTPError as exc:
                if exc.code < 500:
                    raise NotResolved(f"{url} answers {exc.code} {exc.reason}") from exc
                reason = f"answers {exc.code} {exc.reason}"
            except (OSError, ValueError) as exc:
                reason = str(exc)
            if attempt < self._settings.http_attempts:
                time.sleep(self._settings.http_retry_seconds)
        raise NotResolved(f"{url} could not be read in {self._settings.http_attempts} attempts: {reason}")

    def _request(self, url: str) -> str:
        limit = self._settings.limits.file_bytes
        deadline = time.monotonic() + self._settings.http_timeout_seconds * 3
        with urllib.request.urlopen(url, timeout=self._settings.http_timeout_seconds) as reply:  # noqa: S310 - http(s)
            body = b""
            while chunk := reply.read(65536):
                body += chunk
                if len(body) > limit:
                    raise NotResolved(f"{url} sends more than {limit} bytes")
                if time.monotonic() > deadline:
                    raise NotResolved(f"{url} is too slow")
        return body.decode("utf-8")


def read_file(path: Path, settings: Settings) -> str:
    """Return a file's text; raises `NotResolved` when it is larger than a blueprint may be, or not UTF-8."""
    limit = settings.limits.file_bytes
    if path.stat().st_size > limit:
        raise NotResolved(f"{path} has more than {limit} bytes; split it into imports")
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            return stream.read(limit + 1)
    except UnicodeDecodeError as exc:
        raise NotResolved(f"{path} is not UTF-8 text: {exc}") from exc


def find_script(implementation: str, root: Path, settings: Settings) -> Optional[Path]:
    """Return the file beside the blueprint that an implementation names, or None."""
    if not implementation or len(implementation) > 1024 or "\n" in implementation:
        return None
    path = root / implementation
    try:
        if not path.is_file() or (settings.confine and not path.resolve().is_relative_to(root.resolve())):
            return None
    except (OSError, ValueError):
        return None
    return path
