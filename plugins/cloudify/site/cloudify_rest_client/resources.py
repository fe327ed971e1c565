"""The kinds of objects that a client serves, with the calls that plugins make. A call that is not here says so."""

import json
from urllib.parse import quote

from cloudify_rest_client import models
from cloudify_rest_client.constants import VisibilityState
from cloudify_rest_client.responses import ListResponse


class Resource:
    """A kind of objects: `path` in the API, `model` of its objects."""

    path = ""
    model = models.Model

    def __init__(self, api):
        self.api = api

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        kind = type(self).__name__.lower()
        raise AttributeError(f"CloudifyClient.{kind}.{name} is not provided by Outrider's cloudify interface")

    def get(self, object_id, _include=None, **params):
        """Return one object."""
        return self.model(self.api.get(self._of(object_id), {"_include": _include, **params}))

    def list(self, _include=None, sort=None, is_descending=False, filter_rules=None, **params):
        """Return a list of objects; further arguments are filters."""
        query = {"_include": _include, **_underscored(params)}
        if sort:
            query["_sort"] = f"-{sort}" if is_descending else sort
        if filter_rules is None:
            answer = self.api.get(self.path, query)
        else:
            answer = self.api.post(f"/searches{self.path}", {"filter_rules": filter_rules}, query)
        return ListResponse([self.model(item) for item in answer["items"]], answer.get("metadata"))

    def delete(self, object_id):
        """Delete one object."""
        self.api.delete(self._of(object_id))

    def _of(self, object_id):
        if not object_id:
            raise ValueError(f"{self.path} needs an id, not {object_id!r}")
        return f"{self.path}/{quote(str(object_id), safe='')}"


def _underscored(params):
    """Give the names of paging arguments their underscore."""
    special = {
        "offset": "_offset",
        "size": "_size",
        "all_tenants": "_all_tenants",
        "get_all_results": "_get_all_results",
    }
    return {special.get(key, key): value for key, value in params.items()}


class Secrets(Resource):
    path, model = "/secrets", models.Secret

    def create(
        self,
        key,
        value,
        update_if_exists=False,
        is_hidden_value=False,
        visibility=VisibilityState.TENANT,
        schema=None,
        **more,
    ):
        body = {
            "value": value,
            "update_if_exists": update_if_exists,
            "is_hidden_value": is_hidden_value,
            "visibility": visibility,
            **_given(schema=schema, **more),
        }
        return self.model(self.api.put(self._of(key), body))

    def update(self, key, value=None, visibility=None, is_hidden_value=None, **more):
        body = _given(value=value, visibility=visibility, is_hidden_value=is_hidden_value, **more)
        return self.model(self.api.patch(self._of(key), body))

    patch = update


class Nodes(Resource):
    path, model = "/nodes", models.Node

    def get(self, deployment_id, node_id, _include=None, evaluate_functions=False, instance_context=None):
        query = {
            "deployment_id": deployment_id,
            "id": node_id,
            "_include": _include,
            "_evaluate_functions": evaluate_functions,
            "_instance_context": instance_context,
        }
        items = self.api.get(self.path, query)["items"]
        return self.model(items[0]) if items else None

    def list(self, _include=None, deployment_id=None, node_id=None, evaluate_functions=False, **params):
        return super().list(
            _include=_include, deployment_id=deployment_id, id=node_id, _evaluate_functions=evaluate_functions, **params
        )


class NodeInstances(Resource):
    path, model = "/node-instances", models.NodeInstance

    def get(self, node_instance_id, _include=None, evaluate_functions=False):
        return super().get(node_instance_id, _include=_include, _evaluate_functions=evaluate_functions)

    def list(self, deployment_id=None, node_name=None, node_id=None, _include=None, **params):
        return super().list(_include=_include, deployment_id=deployment_id, node_id=node_id or node_name, **params)

    def update(self, node_instance_id, state=None, runtime_properties=None, version=1, force=False, **more):
        body = {"version": version, **_given(state=state, runtime_properties=runtime_properties, **more)}
        query = {"force": True} if force else None
        return self.model(self.api.patch(self._of(node_instance_id), body, query))


class Outputs(Resource):
    kind = "outputs"

    def get(self, deployment_id):
        return self.model(self.api.get(f"/deployments/{quote(deployment_id, safe='')}/{self.kind}"))


class Capabilities(Outputs):
    kind = "capabilities"


class Deployments(Resource):
    path, model = "/deployments", models.Deployment

    def __init__(self, api):
        super().__init__(api)
        self.outputs = Outputs(api)
        self.capabilities = Capabilities(api)

    def create(
        self,
        blueprint_id,
        deployment_id,
        inputs=None,
        visibility=VisibilityState.TENANT,
        labels=None,
        display_name=None,
        site_name=None,
        skip_plugins_validation=False,
        runtime_only_evaluation=False,
        async_create=None,
        **more,
    ):
        body = {
            "blueprint_id": blueprint_id,
            "visibility": visibility,
            "skip_plugins_validation": skip_plugins_validation,
            "runtime_only_evaluation": runtime_only_evaluation,
            **_given(
                inputs=inputs,
                labels=labels,
                display_name=display_name,
                site_name=site_name,
                async_create=async_create,
                **more,
            ),
        }
        return self.model(self.api.put(self._of(deployment_id), body))

    def delete(self, deployment_id, force=False, delete_logs=False, recursive=False, **more):
        query = {"force": force, "delete_logs": delete_logs, "recursive": recursive, **more}
        self.api.delete(self._of(deployment_id), params=query)

    def update_labels(self, deployment_id, labels, **more):
        return self.model(self.api.patch(self._of(deployment_id), {"labels": labels, **more}))

    def set_site(self, deployment_id, site_name=None, detach_site=False):
        body = {"detach_site": detach_site, **_given(site_name=site_name)}
        return self.model(self.api.post(f"{self._of(deployment_id)}/set-site", body))


class Executions(Resource):
    path, model = "/executions", models.Execution

    def start(
        self,
        deployment_id,
        workflow_id,
        parameters=None,
        allow_custom_parameters=False,
        force=False,
        dry_run=False,
        queue=False,
        schedule=None,
        wait_after_failure=600,
        **_more,
    ):
        body = {
            "deployment_id": deployment_id,
            "workflow_id": workflow_id,
            "parameters": parameters,
            "allow_custom_parameters": str(bool(allow_custom_parameters)).lower(),
            "force": str(bool(force)).lower(),
            "dry_run": str(bool(dry_run)).lower(),
            "queue": str(bool(queue)).lower(),
            "scheduled_time": schedule,
            "wait_after_fail": wait_after_failure,
        }
        return self.model(self.api.post(self.path, body))

    def update(self, execution_id, status, error=None):
        return self.model(self.api.patch(self._of(execution_id), {"status": status, **_given(error=error)}))

    def cancel(self, execution_id, force=False, kill=False):
        action = "kill" if kill else "force-cancel" if force else "cancel"
        return self.model(self.api.post(self._of(execution_id), {"action": action}))

    def resume(self, execution_id, force=False):
        return self.model(self.api.post(self._of(execution_id), {"action": "force-resume" if force else "resume"}))


class DeploymentGroups(Resource):
    path, model = "/deployment-groups", models.DeploymentGroup

    def put(self, group_id, **settings):
        return self.model(self.api.put(self._of(group_id), _given(**settings)))

    def add_deployments(self, group_id, deployment_ids=None, count=None, new_deployments=None, **more):
        added = _given(deployment_ids=deployment_ids, count=count, new_deployments=new_deployments, **more)
        return self.model(self.api.patch(self._of(group_id), {"add": added}))


class ExecutionGroups(Resource):
    path, model = "/execution-groups", models.ExecutionGroup

    def start(self, deployment_group_id, workflow_id, parameters=None, default_parameters=None, force=False, **more):
        body = {
            "deployment_group_id": deployment_group_id,
            "workflow_id": workflow_id,
            "force": force,
            **_given(parameters=parameters, default_parameters=default_parameters, **more),
        }
        return self.model(self.api.post(self.path, body))


class Sites(Resource):
    path, model = "/sites", models.Site

    def create(self, name, location=None, visibility=VisibilityState.TENANT, **more):
        return self.model(self.api.put(self._of(name), {"visibility": visibility, **_given(location=location, **more)}))

    def update(self, name, location=None, new_name=None, **more):
        return self.model(self.api.post(self._of(name), _given(location=location, new_name=new_name, **more)))


class DeploymentUpdates(Resource):
    path, model = "/deployment-updates", models.DeploymentUpdate


class Blueprints(Resource):
    path, model = "/blueprints", models.Blueprint

    def delete(self, blueprint_id, force=False):
        self.api.delete(self._of(blueprint_id), params={"force": force})

    def _upload(
        self, archive_location, blueprint_id, application_file_name=None, visibility=VisibilityState.TENANT, **more
    ):
        """Upload an archive, given as a path or an address."""
        params = {
            "visibility": visibility,
            "application_file_name": application_file_name,
            "async_upload": more.pop("async_upload", False),
            **more,
        }
        parts = {"params": json.dumps(_given(**params)).encode("utf-8")}
        if "://" in archive_location:
            parts["params"] = json.dumps({**_given(**params), "blueprint_archive_url": archive_location}).encode(
                "utf-8"
            )
        else:
            with open(archive_location, "rb") as file:
                parts["blueprint_archive"] = file.read()
        body, content_type = _multipart(parts)
        answer = self.api.send(
            "PUT", self._of(blueprint_id), body=body, params=None, headers={"Content-type": content_type}
        )
        return self.model(answer)


class Plugins(Resource):
    path, model = "/plugins", models.Plugin

    def upload(self, plugin_path, plugin_title=None, visibility=VisibilityState.TENANT, **_more):
        """Upload a wagon, or a zip of a wagon and its plugin.yaml."""
        with open(plugin_path, "rb") as file:
            answer = self.api.send(
                "POST",
                self.path,
                body=file,
                params={"visibility": visibility, "title": plugin_title},
                headers={"Content-type": "application/json", "Transfer-Encoding": "chunked"},
            )
        return self.model(answer)

    def delete(self, plugin_id, force=False):
        self.api.delete(self._of(plugin_id), {"force": force})


class Events(Resource):
    path, model = "/events", models.Event

    def get(self, execution_id, from_event=0, batch_size=100, include_logs=False):
        """Return (events, total) of an execution."""
        kinds = ["cloudify_event", "cloudify_log"] if include_logs else ["cloudify_event"]
        query = {"execution_id": execution_id, "type": kinds, "_offset": from_event, "_size": batch_size}
        answer = self.api.get(self.path, query)
        return [self.model(item) for item in answer["items"]], answer["metadata"]["pagination"]["total"]


class Tenants(Resource):
    path, model = "/tenants", models.Tenant


class Manager(Resource):
    def get_status(self):
        return self.api.get("/status")

    def get_version(self):
        # The one address outside the version prefix.
        return type(self.api)(
            url=self.api.url.rpartition("/")[0],
            headers=self.api.headers,
            cert=self.api._cert,
            trust_all=self.api._trust_all,
            timeout=self.api._timeout,
        ).get("/version")

    def get_config(self, name=None, scope=None):
        return self.api.get("/config" if name is None else f"/config/{name}", _given(scope=scope))


class Evaluate(Resource):
    def functions(self, deployment_id, context, payload):
        body = {"deployment_id": deployment_id, "context": context, "payload": payload}
        return self.model(self.api.post("/evaluate/functions", body))


def _given(**values):
    """Return the arguments that are not None."""
    return {key: value for key, value in values.items() if value is not None}


def _multipart(parts):
    """Return (body, content type) of a form with these parts."""
    import secrets

    boundary = secrets.token_hex(16)
    body = b""
    for name, content in parts.items():
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n\r\n'
        if name == "params":
            head = head.replace('; filename="params"', "")
        body += head.encode() + content + b"\r\n"
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


RESOURCES = {
    "secrets": Secrets,
    "nodes": Nodes,
    "node_instances": NodeInstances,
    "deployments": Deployments,
    "deployment_groups": DeploymentGroups,
    "deployment_updates": DeploymentUpdates,
    "executions": Executions,
    "execution_groups": ExecutionGroups,
    "sites": Sites,
    "blueprints": Blueprints,
    "plugins": Plugins,
    "events": Events,
    "tenants": Tenants,
    "manager": Manager,
    "evaluate": Evaluate,
}
