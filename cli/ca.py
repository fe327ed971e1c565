"""`outrider ca …`: a certificate authority of one's own, and certificates for managers and brokers from it."""

from __future__ import annotations

import datetime as dt
import ipaddress
from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from outrider.cli.exit_codes import ExitCode
from outrider.cli.home import find_home
from outrider.cli.output import console, fail, print_fields
from outrider.dispatcher.durable import create_file

AUTHORITY_DAYS = 3650
#: Browsers and clients refuse server certificates that last longer.
CERTIFICATE_DAYS = 397
#: A certificate with less than this left is made again when there is an occasion.
RENEW_DAYS = 30
#: Clocks differ: a certificate is good from a little before it was made.
SKEW = dt.timedelta(minutes=10)

Key = ec.EllipticCurvePrivateKey


def folder() -> Path:
    """Return where authority and certificates lie."""
    return find_home().make().path / "tls"


def create(
    name: Annotated[str, typer.Option(help="Name in the certificate.")] = "Outrider authority",
) -> None:
    """Make the authority: ca.pem to hand to clients and agents, ca.key to keep."""
    make_authority(folder(), name=name)
    print_fields({"authority": folder() / "ca.pem", "key": folder() / "ca.key"})
    console.print("Give ca.pem to clients (cfy profiles use … --ssl -c ca.pem); ca.key never leaves this machine.")


def issue(
    names: Annotated[list[str], typer.Argument(help="Host names and addresses that the certificate is for.")],
) -> None:
    """Make a certificate for a server; the authority is made first if there is none."""
    place = folder()
    if not (place / "ca.pem").exists():
        make_authority(place, name="Outrider authority")
    certificate, key = issue_certificate(place, names)
    print_fields({"certificate": certificate, "key": key, "authority": place / "ca.pem"})


def make_authority(place: Path, *, name: str) -> None:
    """Write ca.pem and ca.key; ends the command if they exist: everything signed by them would be void."""
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    if (place / "ca.pem").exists():
        fail(f"{place / 'ca.pem'} exists: certificates that it signed would be void; move it away to make another")
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        _dated(subject, subject, key, days=AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    _write(place / "ca.key", place / "ca.pem", key, certificate)


def issue_certificate(place: Path, names: list[str]) -> tuple[Path, Path]:
    """Write a certificate and its key, named after the first name; returns both paths."""
    authority, authority_key = _authority(place)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    authority_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    certificate = (
        _dated(subject, authority.subject, key, days=CERTIFICATE_DAYS)
        .add_extension(x509.SubjectAlternativeName([_alternative(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(authority_id, critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    paths = place / f"{names[0]}.pem", place / f"{names[0]}.key"
    for path in paths:
        path.unlink(missing_ok=True)  # a renewal
    _write(paths[1], paths[0], key, certificate)
    return paths


def still_serves(certificate: Path, names: list[str]) -> bool:
    """Return whether a certificate is for all these names, and good for a while."""
    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
        held = set(found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except (OSError, ValueError, x509.ExtensionNotFound):
        return False
    renewal = dt.datetime.now(dt.UTC) + dt.timedelta(days=RENEW_DAYS)
    return found.not_valid_after_utc > renewal and held >= {_alternative(name) for name in names}


def _authority(place: Path) -> tuple[x509.Certificate, Key]:
    try:
        certificate = x509.load_pem_x509_certificate((place / "ca.pem").read_bytes())
        key = serialization.load_pem_private_key((place / "ca.key").read_bytes(), password=None)
    except (OSError, ValueError) as error:
        fail(f"the authority in {place} cannot be used: {error}; make one with: outrider ca create", ExitCode.BAD_INPUT)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        fail(f"{place / 'ca.key'} is not a key that outrider ca made")
    return certificate, key


def _dated(subject: x509.Name, issuer: x509.Name, key: Key, *, days: int) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + dt.timedelta(days=days))
    )


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write(key_path: Path, certificate_path: Path, key: Key, certificate: x509.Certificate) -> None:
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    create_file(key_path, private)
    certificate_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
