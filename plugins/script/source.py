"""Where a script comes from: a blueprint resource, an address, or text inside the blueprint. Becomes a local file."""

from __future__ import annotations

import shutil
from pathlib import Path, PurePosixPath
from textwrap import dedent
from typing import Any, Optional
from urllib.parse import urlsplit

from outrider.plugins.script.errors import ScriptNotFetched, ScriptServerAway, ScriptSettingsError
from outrider.plugins.script.scratch import new_folder, write_program

FETCH_TIMEOUT_SECONDS = 60.0


def local_script(
    ctx: Any, *, script_path: Optional[str], script_source: Optional[str], ssl_cert_content: Optional[str]
) -> Path:
    """Return the script as an executable file that belongs to this attempt.

    Raises `ScriptSettingsError`, `ScriptNotFetched`, and what the context raises for a missing resource.
    """
    if bool(script_path) == bool(script_source):
        raise ScriptSettingsError("a script operation needs exactly one of the inputs script_path and script_source")
    if script_source:
        return _write_inline(ctx, script_source)
    script = _fetch(ctx, str(script_path), ssl_cert_content)
    script.chmod(0o755)
    return script


def is_python(text: str) -> bool:
    """Say whether an inline script is Python: by its first line, else by whether Python can parse it."""
    first = text.lstrip().partition("\n")[0]
    if first.startswith("#!"):
        return "python" in first
    try:
        compile(text, "<script>", "exec")
    except (SyntaxError, ValueError):
        return False
    return True


def _write_inline(ctx: Any, source: str) -> Path:
    text = dedent(source).lstrip("\n") if source[0].isspace() else source
    script = f"{_new_folder(ctx)}/{'script.py' if is_python(text) else 'script.sh'}"
    write_program(script, text)
    return Path(script)


def _fetch(ctx: Any, path: str, ssl_cert_content: Optional[str]) -> Path:
    address = urlsplit(path)
    if address.scheme in ("http", "https"):
        return _download(path, _new_folder(ctx), ssl_cert_content)
    if address.scheme == "file":
        target = _new_folder(ctx) / (PurePosixPath(address.path).name or "script")
        try:
            shutil.copyfile(address.path, target)
        except OSError as error:
            raise ScriptNotFetched(f"cannot copy the script {path}: {error.strerror or error}") from error
        return target
    return Path(ctx.download_resource(path))


def _download(url: str, folder: Path, ssl_cert_content: Optional[str]) -> Path:
    # Slow to import, and most scripts come with the blueprint.
    import ssl
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import urlopen

    target = folder / (PurePosixPath(urlsplit(url).path).name or "script")
    try:
        trust = ssl.create_default_context(cadata=ssl_cert_content) if url.startswith("https") else None
        with urlopen(url, timeout=FETCH_TIMEOUT_SECONDS, context=trust) as answer:  # noqa: S310 - http(s), checked by the caller
            if answer.status != 200:
                raise ScriptNotFetched(f"cannot fetch the script {url}: the server answered {answer.status}")
            with target.open("wb") as file:
                shutil.copyfileobj(answer, file)
            if answer.length:  # reading in parts, Python takes the end of a broken connection for the script's
                raise ScriptServerAway(f"cannot fetch the script {url}: its last {answer.length} bytes did not come")
    except HTTPError as error:
        with error:
            kind = ScriptServerAway if error.code >= 500 else ScriptNotFetched
            raise kind(f"cannot fetch the script {url}: the server answered {error.code} {error.reason}") from error
    except (OSError, ValueError, HTTPException) as error:
        final = isinstance(error, ValueError) or isinstance(
            getattr(error, "reason", None), ssl.SSLCertVerificationError
        )
        kind = ScriptNotFetched if final else ScriptServerAway
        raise kind(f"cannot fetch the script {url}: {error}") from error
    return target


def _new_folder(ctx: Any) -> Path:
    return Path(new_folder("script", getattr(ctx, "work_dir", None)))
