"""The secret store: values come back, and show nowhere else."""

from __future__ import annotations

import json
import logging
import stat
import threading
from dataclasses import replace

import pytest

from outrider.dispatcher.errors import AlreadyExists, NotFound
from outrider.dispatcher.keyfile import KeyFileError, load_key
from outrider.dispatcher.secrets import (
    DatabaseTable,
    KeyMissing,
    KeyRing,
    NotRedeemable,
    SecretInfo,
    SecretRow,
    SecretStore,
    SecretUnreadable,
    Visibility,
    redeem_secrets,
    redeemable,
)
from outrider.dispatcher.store.database import Database

VALUE = "correct horse battery staple"


class MemoryTable:
    """A table in memory, for those tests that look at rows."""

    def __init__(self):
        self.rows: dict[tuple[str, str], SecretRow] = {}

    def save(self, row):
        self.rows[row.tenant, row.name] = row

    def exchange(self, old, ciphertext):
        if self.rows[old.tenant, old.name].ciphertext != old.ciphertext:
            return False
        self.save(replace(old, ciphertext=ciphertext))
        return True

    def find(self, tenant, name):
        return self.rows.get((tenant, name))

    def named(self, name):
        return [row for _key, row in sorted(self.rows.items()) if row.name == name]

    def listed(self, tenant):
        return [row for _key, row in sorted(self.rows.items()) if tenant in (None, row.tenant)]

    def delete(self, tenant, name):
        return self.rows.pop((tenant, name), None) is not None


def info(name="password", tenant="default_tenant", **fields):
    return SecretInfo(name=name, tenant=tenant, **fields)


@pytest.fixture(params=["memory", "database"])
def table(request, tmp_path):
    if request.param == "memory":
        yield MemoryTable()
        return
    database = Database(str(tmp_path / "outrider.db"))
    yield DatabaseTable(database)
    database.close()


@pytest.fixture
def keys(tmp_path):
    return KeyRing(tmp_path / "keys" / "secrets.json")


@pytest.fixture
def store(table, keys):
    return SecretStore(table, keys)


@pytest.mark.parametrize("value", [VALUE, "", {"a": [1, None, "ü"]}, 17, None, "x" * 100_000])
def test_any_json_value_comes_back(store, value):
    store.set(info(), value)
    assert store.get("default_tenant", "password").value == value


def test_a_secret_is_replaced_unless_told_not_to(store):
    store.set(info(), "one")
    store.set(info(), "two")
    with pytest.raises(AlreadyExists, match="password"):
        store.set(info(), "three", replace=False)
    assert store.get("default_tenant", "password").value == "two"


def test_lists_have_names_and_no_values(store):
    store.set(info(hidden=True, created_by="ann", schema={"type": "string"}), VALUE)
    [found] = store.list("default_tenant")
    assert (found.name, found.hidden, found.created_by) == ("password", True, "ann")
    assert VALUE not in repr(found)
    assert store.list("other") == []
    assert len(store.list(None)) == 1


def test_a_value_shows_in_no_repr_and_no_log(store, table, keys, caplog):
    with caplog.at_level(logging.DEBUG):
        store.set(info(), VALUE)
        secret = store.get("default_tenant", "password")
    for each in (secret, store, keys, *table.listed(None)):
        assert VALUE not in repr(each)
    assert VALUE not in caplog.text
    assert all(VALUE.encode() not in row.ciphertext for row in table.listed(None))


def test_no_value_is_in_the_files_of_the_database(tmp_path, keys):
    database = Database(str(tmp_path / "db" / "outrider.db"))
    SecretStore(DatabaseTable(database), keys).set(info(), VALUE)
    content = b"".join(path.read_bytes() for path in (tmp_path / "db").iterdir())
    database.close()
    assert b"password" in content
    assert VALUE.encode() not in content


def test_a_missing_secret_is_not_found(store):
    with pytest.raises(NotFound, match="secret 'nothing' not found"):
        store.get("default_tenant", "nothing")
    with pytest.raises(NotFound):
        store.delete("default_tenant", "nothing")


def test_a_deleted_secret_is_gone(store):
    store.set(info(), VALUE)
    store.delete("default_tenant", "password")
    assert store.list(None) == []


def test_tenants_do_not_see_each_other_but_global_secrets(store):
    store.set(info(tenant="a"), "of a")
    store.set(info(tenant="c", visibility=Visibility.GLOBAL), "for all")
    assert store.get("a", "password").value == "of a"
    assert store.get("b", "password").value == "for all"
    store.set(info(name="mine", tenant="a"), "x")
    with pytest.raises(NotFound):
        store.get("b", "mine")


def test_a_row_copied_to_another_name_or_tenant_does_not_decrypt(keys):
    table = MemoryTable()
    store = SecretStore(table, keys)
    store.set(info("root"), VALUE)
    store.set(info("mine"), "x")
    stolen = table.find("default_tenant", "root").ciphertext
    for tenant, name in (("default_tenant", "mine"), ("other", "root")):
        table.save(SecretRow(tenant=tenant, name=name, ciphertext=stolen))
        with pytest.raises(SecretUnreadable, match=name) as raised:
            store.get(tenant, name)
        assert VALUE not in str(raised.value)


@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b[:3], lambda b: b[:-1], lambda b: b"\x09" + b[1:]])
def test_a_damaged_row_is_named(keys, damage):
    table = MemoryTable()
    store = SecretStore(table, keys)
    store.set(info(), VALUE)
    row = table.find("default_tenant", "password")
    table.save(SecretRow(tenant=row.tenant, name=row.name, ciphertext=damage(row.ciphertext)))
    with pytest.raises((SecretUnreadable, KeyMissing)):
        store.get("default_tenant", "password")


def test_equal_values_have_different_ciphertexts(keys):
    table = MemoryTable()
    store = SecretStore(table, keys)
    for name in ("a", "b"):
        store.set(info(name), VALUE)
    first, second = (row.ciphertext for row in table.listed(None))
    assert first[-20:] != second[-20:]


def test_the_key_file_is_made_once_and_only_for_its_owner(tmp_path):
    path = tmp_path / "secrets.json"
    rings = []
    threads = [threading.Thread(target=lambda: rings.append(KeyRing(path).active())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(rings) == 8
    assert len(set(rings)) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["secrets.json"]


def test_a_key_file_that_others_can_read_is_refused(tmp_path):
    path = tmp_path / "secrets.json"
    KeyRing(path)
    path.chmod(0o644)
    with pytest.raises(KeyFileError, match="chmod 600"):
        KeyRing(path)


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", '{"active": "a", "keys": {}}', '{"active":"a","keys":{"a":"eA=="}}']
)
def test_a_damaged_key_file_is_refused_without_showing_it(tmp_path, content):
    path = tmp_path / "secrets.json"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(KeyFileError, match="restore it from a backup"):
        KeyRing(path)


def test_rotation_encrypts_everything_anew_and_forgets_the_old_key(store, keys, table):
    old_id, _key = keys.active()
    for name in ("a", "b"):
        store.set(info(name, created_by="ann"), VALUE)
    other = SecretStore(table, KeyRing(keys.path))
    assert store.rotate() == 2
    new_id, _key = keys.active()
    assert new_id != old_id
    assert list(json.loads(keys.path.read_text())["keys"]) == [new_id]
    assert other.get("default_tenant", "a").value == VALUE
    assert other.info("default_tenant", "a").created_by == "ann"


def test_rotation_does_not_undo_what_is_set_meanwhile(store, table, keys):
    store.set(info(), "old")
    real = table.listed
    stale = [real(None)]
    table.listed = lambda tenant: stale.pop() if stale else real(tenant)
    store.set(info(), "new")
    store.rotate()
    assert stale == []
    assert store.get("default_tenant", "password").value == "new"


def test_another_key_file_says_which_key_is_missing(store, table, tmp_path):
    store.set(info(), VALUE)
    with pytest.raises(KeyMissing, match="restore the key file"):
        SecretStore(table, KeyRing(tmp_path / "other.json")).get("default_tenant", "password")


def test_an_attempt_redeems_what_its_task_names_and_nothing_else(store):
    store.set(info("a"), "1")
    store.set(info("b"), "2")
    assert redeem_secrets(store, "default_tenant", listed=("a",), requested=None) == {"a": "1"}
    assert redeemable(("a", "b"), ["b", "b"]) == ("b",)
    with pytest.raises(NotRedeemable, match="b, c"):
        redeem_secrets(store, "default_tenant", listed=("a",), requested=["c", "a", "b"])


def test_the_signing_key_is_made_once(tmp_path):
    path = tmp_path / "files.key"
    assert load_key(path) == load_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_bytes(b"short")
    with pytest.raises(KeyFileError, match="5 bytes"):
        load_key(path)
