"""Plugins: uploaded as a wagon or as a zip of wagon and plugin.yaml, downloaded as bare wagons."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from sqlalchemy.engine import Connection
from starlette.responses import FileResponse

from outrider.dispatcher.plugin_uploads import register
from outrider.dispatcher.store import jsontext, plugins
from outrider.dispatcher.store.plugins import Plugin
from outrider.dispatcher.store.schema import BLUEPRINTS
from outrider.manager_stub.bodies import ForceBody, PluginActionBody, PluginBody, PluginStateBody, VisibilityBody
from outrider.manager_stub.calls import Call, Operator, Reader, Writer
from outrider.manager_stub.downloads import content_response, full_plugin_response
from outrider.manager_stub.errors import BadRequest, InUse, Missing
from outrider.manager_stub.listing import Listing, truth, whole_list
from outrider.manager_stub.paging import answer_page
from outrider.manager_stub.resource import fetch_one, own_row
from outrider.manager_stub.resources import PLUGIN
from outrider.manager_stub.uploads import open_plugin, received, work_folder
from outrider.manager_stub.wire import checked_visibility
from outrider.plugins.wagons import read_wagon

routes = APIRouter(tags=["plugins"])

#: States of an install after which nothing more comes.
_SETTLED = frozenset({"installed", "error", "uninstalled"})


@routes.get("/plugins")
async def list_plugins(call: Reader, listing: Listing) -> Response:
    """List plugins."""
    return await answer_page(call, PLUGIN, listing)


@routes.post("/plugins", status_code=201)
async def upload_plugin(
    call: Writer, request: Request, visibility: str | None = None, title: str | None = None
) -> dict[str, Any]:
    """Take a plugin in. The body is the archive itself, whatever its content type says."""
    checked_visibility(visibility)
    if "plugin_archive_url" in request.query_params:
        raise BadRequest("plugins are not fetched from URLs: upload the archive itself")
    details = {"visibility": checked_visibility(visibility), "created_by": call.caller.user, "title": title}
    async with received(request, call.manager.settings.work) as body:
        return await run_in_threadpool(_take_in, call, body, details)


@routes.get("/plugins/{plugin_id}")
def get_plugin(call: Reader, plugin_id: str, listing: Listing) -> dict[str, Any]:
    """Return one plugin."""
    return fetch_one(call, PLUGIN, plugin_id, listing=listing)


@routes.get("/plugins/{plugin_id}/archive")
def download_plugin(call: Reader, plugin_id: str, full_archive: str = "", wagon: str = "") -> FileResponse:
    """Return the bare wagon (of several, the first or the named one); with ``full_archive``, a zip with its yaml."""
    plugin = _seen(call, plugin_id)
    chosen = next((each for each in plugin.wagons if wagon in ("", each.filename)), None)
    if chosen is None:
        raise Missing(f"wagon of plugin {plugin.package_name}", wagon)
    if truth(full_archive):
        return full_plugin_response(call.manager, plugin)
    return content_response(call.manager, chosen.sha256, filename=chosen.filename)


@routes.get("/plugins/{plugin_id}/yaml")
def download_yaml(call: Reader, plugin_id: str, dsl_version: str = "") -> Response:
    """Return the plugin's description, for a language version if one is named."""
    plugin = _seen(call, plugin_id)
    suffix = dsl_version.removeprefix("cloudify_dsl_")
    name = next((each for each in sorted(plugin.yamls) if suffix and suffix in each), None)
    name = name or ("plugin.yaml" if "plugin.yaml" in plugin.yamls else next(iter(plugin.yamls), None))
    if name is None:
        raise Missing("plugin.yaml of plugin", plugin_id)
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(plugin.yamls[name], media_type="application/octet-stream", headers=headers)


@routes.delete("/plugins/{plugin_id}", status_code=204)
def delete_plugin(call: Writer, plugin_id: str, body: ForceBody | None = None, force: str = "") -> None:
    """Forget a plugin that no blueprint uses."""
    with call.write() as connection:
        row = own_row(connection, call, PLUGIN, plugin_id)
        forced = truth(force) or (body is not None and body.force)
        users = [] if forced else _blueprints_using(connection, call.tenant, row.package_name, row.package_version)
        if users:
            raise InUse(
                f"plugin {row.package_name} {row.package_version} is used by blueprint {', '.join(users)}: "
                "delete them first, or delete the plugin by force"
            )
        plugins.delete(connection, row.id)


@routes.put("/plugins/{plugin_id}")
def set_plugin_state(call: Operator, plugin_id: str, body: PluginStateBody) -> dict[str, Any]:
    """Record how the install of a plugin on an agent stands."""
    owner = body.agent or body.manager
    if owner is None:
        raise BadRequest("name the agent or the manager whose install this is about")
    state = {"state": body.state, "manager": body.manager, "agent": body.agent, "error": body.error}
    with call.write() as connection:
        own_row(connection, call, PLUGIN, plugin_id)
        plugin = plugins.get(connection, plugin_id)
        states = {**(plugin.details.get("installation_state") or {}), owner: state}
        plugins.save(connection, replace(plugin, details={**plugin.details, "installation_state": states}))
        return fetch_one(call, PLUGIN, plugin_id, connection=connection)


@routes.post("/plugins/{plugin_id}")
def act_on_plugin(call: Writer, plugin_id: str, body: PluginActionBody) -> dict[str, Any]:
    """Accept the wish to install a plugin: agents install what they need by themselves, with its first operation."""
    with call.write() as connection:
        own_row(connection, call, PLUGIN, plugin_id)
        plugin = plugins.get(connection, plugin_id)
        states = dict(plugin.details.get("installation_state") or {})
        for kind, names in (("manager", body.managers or ()), ("agent", body.agents or ())):
            for name in names:
                known = states.get(name, {})
                if known.get("state") not in _SETTLED:
                    states[name] = {"state": "installed", "manager": None, "agent": None, "error": None, kind: name}
        plugins.save(connection, replace(plugin, details={**plugin.details, "installation_state": states}))
        return fetch_one(call, PLUGIN, plugin_id, connection=connection)


@routes.patch("/plugins/{plugin_id}")
def change_plugin(call: Writer, plugin_id: str, body: PluginBody) -> dict[str, Any]:
    """Change a plugin's owner, labels or tags."""
    sent = body.model_dump(exclude_unset=True)
    if "creator" in sent:
        sent["created_by"] = sent.pop("creator")
    return _change(call, plugin_id, sent)


@routes.patch("/plugins/{plugin_id}/set-visibility")
def set_visibility(call: Writer, plugin_id: str, body: VisibilityBody) -> dict[str, Any]:
    """Change who sees a plugin."""
    return _change(call, plugin_id, {"visibility": body.visibility})


def _take_in(call: Call, body: Path, details: dict[str, Any]) -> dict[str, Any]:
    manager = call.manager
    with work_folder(manager.settings.work) as folder:
        upload = open_plugin(body, folder, filename="plugin.wgn")
        found: list[Plugin] = []
        for path in upload.wagons:
            wagon = read_wagon(path)
            known = {
                **details,
                "supported_platform": wagon.supported_platform,
                "pythons": list(wagon.pythons),
                "wheels": [wheel.name.filename for wheel in wagon.wheels],
            }
            named = path if len(upload.wagons) > 1 or path.name != "plugin.wgn" else _renamed(path, wagon)
            found.append(
                register(
                    manager.database,
                    manager.content,
                    named,
                    yamls=upload.yamls,
                    tenant=call.tenant,
                    details=known,
                )
            )
    records = [fetch_one(call, PLUGIN, plugin.id) for plugin in found]
    return records[0] if len(records) == 1 else whole_list(records)


def _renamed(path: Path, wagon: Any) -> Path:
    """Give a wagon that came without a name the one that its metadata imply."""
    pythons = ".".join(wagon.pythons) or "py3"
    return path.rename(path.with_name(f"{wagon.name}-{wagon.version}-{pythons}-none-{wagon.supported_platform}.wgn"))


def _seen(call: Call, plugin_id: str) -> Plugin:
    with call.read() as connection:
        fetch_one(call, PLUGIN, plugin_id, connection=connection)
        return plugins.get(connection, plugin_id)


def _change(call: Call, plugin_id: str, values: dict[str, Any]) -> dict[str, Any]:
    with call.write() as connection:
        own_row(connection, call, PLUGIN, plugin_id)
        plugin = plugins.get(connection, plugin_id)
        plugins.save(connection, replace(plugin, details={**plugin.details, **values}))
        return fetch_one(call, PLUGIN, plugin_id, connection=connection)


def _blueprints_using(connection: Connection, tenant: str, package: str, version: str) -> list[str]:
    """Return the blueprints whose plans name this version of the package."""
    # The text is searched first: plans are large, and few name any one plugin.
    query = sa.select(BLUEPRINTS.c.id, BLUEPRINTS.c.plan).where(
        BLUEPRINTS.c.tenant == tenant, BLUEPRINTS.c.plan.contains(f'"{package}"', autoescape=True)
    )
    groups = ("deployment_plugins_to_install", "host_agent_plugins_to_install", "workflow_plugins_to_install")
    found = []
    for row in connection.execute(query):
        plan = jsontext.load(row.plan)
        entries = [entry for group in groups for entry in plan.get(group) or ()]
        if any(
            (e.get("package_name"), e.get("package_version")) in ((package, version), (package, None)) for e in entries
        ):
            found.append(row.id)
    return found
