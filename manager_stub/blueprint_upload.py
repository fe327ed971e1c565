"""What happens to an uploaded blueprint between its archive and its record."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from outrider.dispatcher.blueprint import BlueprintFailure, Settings, load
from outrider.dispatcher.errors import AlreadyExists, DispatcherError, NotFound
from outrider.dispatcher.files import FilesError
from outrider.dispatcher.store import blueprints
from outrider.dispatcher.store.blueprints import Blueprint
from outrider.manager_stub.calls import Call
from outrider.manager_stub.catalogue import TenantPlugins
from outrider.manager_stub.envelope import without_places
from outrider.manager_stub.errors import ApiError, BadRequest
from outrider.manager_stub.system_executions import record_upload
from outrider.manager_stub.uploads import unpack_blueprint
from outrider.plugins.wagons import WagonError

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class BlueprintUpload:
    """An archive, and what its sender said about it."""

    id: str
    archive: Path
    #: The main file's path inside the top folder.
    main_file: str
    #: Keep a blueprint with mistakes, in a state that says so.
    keep_invalid: bool
    details: Mapping[str, Any]


def take_in(call: Call, upload: BlueprintUpload, folder: Path) -> None:
    """Unpack, read and store a blueprint. Raises `AlreadyExists`, and what is wrong with it unless it is kept."""
    state = "failed_extracting"
    _reserve(call, upload)
    try:
        unpacked = folder / "unpacked"
        unpacked.mkdir()
        root = unpack_blueprint(upload.archive, unpacked)
        state = "invalid"
        record = _read(call, upload, _main_file(root, upload.main_file))
    except (BlueprintFailure, WagonError, DispatcherError, FilesError, ApiError) as error:
        _fail(call, upload, state, without_places(str(error)))
        if not upload.keep_invalid:
            raise
        log.info("blueprint %s is %s", upload.id, state, extra={"action": "blueprint_refused", "blueprint": upload.id})
        return
    except BaseException:
        _forget(call, upload)
        raise
    _finish(call, upload, record)


def _reserve(call: Call, upload: BlueprintUpload) -> None:
    """Take the id before the work, so that of two uploads at once one is refused; a failed one may be repeated."""
    with call.write() as connection:
        try:
            known = blueprints.get(connection, call.tenant, upload.id)
        except NotFound:
            known = None
        if known is not None and known.state in ("uploaded", "parsing"):
            raise AlreadyExists("blueprint", upload.id)
        record = Blueprint(
            id=upload.id, main_file=upload.main_file, tenant=call.tenant, state="parsing", details=upload.details
        )
        blueprints.save(connection, record, now=call.now(connection))


def validate(call: Call, archive: Path, main_file: str, folder: Path) -> None:
    """Unpack and read a blueprint, and keep nothing. Raises what `take_in` would."""
    unpacked = folder / "unpacked"
    unpacked.mkdir()
    load(_main_file(unpack_blueprint(archive, unpacked), main_file), settings=_language(call))


def _read(call: Call, upload: BlueprintUpload, main_file: Path) -> Blueprint:
    return call.dispatcher.create_blueprint(upload.id, main_file, settings=_language(call))


def _language(call: Call) -> Settings:
    return Settings(
        allow_http=call.manager.settings.imports_over_network,
        confine=True,
        plugins=TenantPlugins(call.manager.database, call.tenant),
    )


def _finish(call: Call, upload: BlueprintUpload, record: Blueprint) -> None:
    stored = call.manager.content.put_file(upload.archive)
    with upload.archive.open("rb") as file:
        suffix = "zip" if file.read(2) == b"PK" else "tar.gz"
    labels = {**_plan_labels(record.plan or {}), **upload.details.get("labels", {})}
    details = {**record.details, **upload.details, "labels": labels, "archive_suffix": suffix}
    with call.write() as connection:
        now = call.now(connection)
        details["upload_execution"] = record_upload(
            connection, tenant=call.tenant, blueprint_id=upload.id, user=call.caller.user, error=None, now=now
        )
        blueprints.save(connection, replace(record, archive=stored.sha256, details=details), now=now)


def _fail(call: Call, upload: BlueprintUpload, state: str, error: str) -> None:
    if not upload.keep_invalid:
        _forget(call, upload)
        return
    with call.write() as connection:
        now = call.now(connection)
        execution_id = record_upload(
            connection, tenant=call.tenant, blueprint_id=upload.id, user=call.caller.user, error=error, now=now
        )
        record = Blueprint(
            id=upload.id,
            main_file=upload.main_file,
            tenant=call.tenant,
            state=state,
            error=error,
            details={**upload.details, "upload_execution": execution_id},
        )
        blueprints.save(connection, record, now=now)


def _forget(call: Call, upload: BlueprintUpload) -> None:
    with call.write() as connection:
        blueprints.delete(connection, call.tenant, upload.id)


def _main_file(root: Path, name: str) -> Path:
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise BadRequest(f"the main file {name!r} must lie in the blueprint's folder", code="invalid_blueprint_error")
    path = root / name
    if not path.is_file():
        found = sorted(str(each.relative_to(root)) for each in root.glob("*.yaml"))
        listed = f"; it has {', '.join(found[:10])}" if found else ""
        raise BadRequest(f"the archive has no {name!r} in its top folder{listed}", code="invalid_blueprint_error")
    return path


def _plan_labels(plan: Mapping[str, Any]) -> dict[str, list[str]]:
    labels: Mapping[str, Any] = plan.get("blueprint_labels") or {}
    return {key: [str(value) for value in entry.get("values", ())] for key, entry in labels.items()}
