"""TLS with a generated authority; plain HTTP only where nobody else can listen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509

from outrider.cli import ca
from outrider.cli.ca import issue_certificate, make_authority, still_serves
from outrider.cli.home import VARIABLE, Home
from outrider.cli.up import made_certificate
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


def test_a_start_makes_the_certificate_again_for_another_name_and_before_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    here = ManagerSettings(host="0.0.0.0", advertise="old.example")
    path, key = made_certificate(Home(tmp_path), here)
    first, authority = path.read_bytes(), (tmp_path / "tls" / "ca.pem").read_bytes()
    assert made_certificate(Home(tmp_path), here) == (path, key)
    assert path.read_bytes() == first, "a good one stays"
    made_certificate(Home(tmp_path), replace(here, advertise="new.example"))
    second = path.read_bytes()
    assert second != first
    assert still_serves(path, ["new.example", "127.0.0.1"])
    monkeypatch.setattr(ca, "RENEW_DAYS", ca.CERTIFICATE_DAYS + 1)
    made_certificate(Home(tmp_path), replace(here, advertise="new.example"))
    assert path.read_bytes() != second
    assert (tmp_path / "tls" / "ca.pem").read_bytes() == authority
    (tmp_path / "tls" / "ca.key").unlink()
    third = path.read_bytes()
    made_certificate(Home(tmp_path), here)
    assert path.read_bytes() == third, "without the authority's key, what is there is used"


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
