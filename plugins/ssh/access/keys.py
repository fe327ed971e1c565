"""Reading private keys: from a file or a text, of any type, encrypted or not."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import paramiko

from outrider.plugins.ssh.access.errors import KeyUnusable
from outrider.plugins.ssh.access.target import SshTarget

KEY_TYPES: tuple[type[paramiko.PKey], ...] = (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey)
#: What `ssh` itself would try.
USUAL_FILES = ("id_ed25519", "id_ecdsa", "id_rsa")


def private_keys(target: SshTarget) -> Iterator[paramiko.PKey]:
    """Yield the keys to offer: the one that was named, else the SSH agent's, else the usual files."""
    if target.key_text is not None:
        yield _parse(target.key_text, target.passphrase, "the given key")
        return
    if target.key_file is not None:
        yield _read(target.key_file.expanduser(), target.passphrase)
        return
    if not target.use_agent:
        return
    agent = paramiko.Agent()
    try:
        yield from agent.get_keys()
    finally:
        # Its keys sign through this connection, so it is held until the caller has tried them.
        agent.close()
    for name in USUAL_FILES:
        path = Path("~/.ssh").expanduser() / name
        if path.exists():
            try:
                yield _read(path, target.passphrase)
            except KeyUnusable:
                continue  # nobody named this file; that it is encrypted is no error


def _read(path: Path, passphrase: str | None) -> paramiko.PKey:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise KeyUnusable(f"cannot read the key file {path}: {error}", remedy="name another key file") from error
    return _parse(text, passphrase, str(path))


def _parse(text: str, passphrase: str | None, name: str) -> paramiko.PKey:
    for kind in KEY_TYPES:
        try:
            return kind.from_private_key(io.StringIO(text), password=passphrase)
        except paramiko.PasswordRequiredException as error:
            raise KeyUnusable(f"{name} is encrypted", remedy="give its passphrase") from error
        except (paramiko.SSHException, ValueError, IndexError, UnicodeDecodeError):
            continue  # of another type, or not a key: the next type tells
    if passphrase is not None and "PRIVATE KEY" in text:
        raise KeyUnusable(f"{name} cannot be decrypted", remedy="check the passphrase")
    raise KeyUnusable(f"{name} is not a private key of a known type", remedy="use an Ed25519, ECDSA or RSA key")
