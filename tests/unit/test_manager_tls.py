"""TLS with a generated authority; plain HTTP only where nobody else can listen."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509

from outrider.cli.ca import issue_certificate, make_authority
from outrider.manager_stub import CannotServe, ManagerSettings
from tests.support.managers import manager_here


def test_a_generated_certificate_is_signed_for_its_names(tmp_path: Path) -> None:
    make_authority(tmp_path, name="for a test")
    path, key = issue_certificate(tmp_path, ["manager.example", "127.0.0.1"])
    authority = x509.load_pem_x509_certificate((tmp_path / "ca.pem").read_bytes())
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    certificate.verify_directly_issued_by(authority)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["manager.example"]
    assert key.stat().st_mode & 0o077 == 0
    assert (tmp_path / "ca.key").stat().st_mode & 0o077 == 0


def test_an_authority_is_never_overwritten(tmp_path: Path) -> None:
    make_authority(tmp_path, name="first")
    before = (tmp_path / "ca.pem").read_bytes()
    with pytest.raises(BaseException, match="2"):
        make_authority(tmp_path, name="second")
    assert (tmp_path / "ca.pem").read_bytes() == before


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_loopback_needs_no_certificate(host: str) -> None:
    assert ManagerSettings(host=host).problems() == []


def test_others_are_served_plain_http_only_when_asked_for(tmp_path: Path) -> None:
    assert ManagerSettings(host="0.0.0.0", allow_plain_http=True).problems() == []
    with pytest.raises(CannotServe, match="unencrypted"), manager_here(tmp_path, host="0.0.0.0"):
        pass
