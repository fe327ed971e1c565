"""Connects to AWS: whose credentials, which region and endpoint, how often botocore tries by itself.

Each setting comes from the node's `client_config`, else from the plugin's property `client_config`, else from where
boto3 looks by itself (environment, shared files, the role of the agent's host).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

import boto3
import botocore.exceptions
import botocore.loaders
import botocore.session
from botocore.config import Config

from outrider.plugins.aws.errors import code_of, translated
from outrider.plugins.sdk import ctx

#: No operation's process waits longer than this for one answer.
CONNECT_SECONDS = 10
READ_SECONDS = 60
#: What botocore repeats by itself within one call, if the call may be repeated.
ATTEMPTS = 4
#: The name under which a role's temporary credentials appear in AWS's logs.
ROLE_SESSION = "outrider"

#: Reads botocore's descriptions of the services, each once in this process. The largest, EC2's, is read when the plugin
#: is imported: that happens once, in the runner, and every operation's process is a copy of it.
MODELS = botocore.loaders.create_loader()
MODELS.load_service_model("ec2", "service-2")
MODELS.load_service_model("ec2", "endpoint-rule-set-1")
MODELS.load_data("endpoints")


def configuration(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the connection settings for a node with these properties."""
    declared = (ctx.plugin.properties or {}).get("client_config") or {}
    from_plugin = declared.get("value") if "value" in declared else declared
    merged = {**(from_plugin or {}), **(properties.get("client_config") or {})}
    return {key: value for key, value in merged.items() if value not in (None, "", {})}


class Connection:
    """The clients of one operation; made on first use, with errors translated."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = settings
        self._session: Optional[Any] = None
        self._clients: dict[tuple[str, bool], Any] = {}

    @property
    def region(self) -> str:
        """The region that requests go to."""
        return str(self._open().region_name or "")

    def call(
        self,
        service: str,
        method: str,
        arguments: Mapping[str, Any],
        *,
        where: str,
        once: bool = False,
        absent: tuple[str, ...] = (),
    ) -> Optional[dict[str, Any]]:
        """Call `method` and return its answer, all pages of it; None if AWS answers with a code of `absent`.

        `once`: botocore does not repeat the call by itself. A create call whose answer was lost has perhaps made
        something; only the next attempt, which looks first, may repeat it.
        """
        with translated(where):
            client = self._client(service, once=once)
            try:
                if client.can_paginate(method):
                    pages = client.get_paginator(method).paginate(**arguments)
                    return dict(pages.build_full_result())
                return dict(getattr(client, method)(**arguments))
            except botocore.exceptions.ClientError as error:
                if code_of(error) in absent:
                    return None
                raise

    def _client(self, service: str, *, once: bool) -> Any:
        key = (service, once)
        if key not in self._clients:
            self._clients[key] = self._open().client(
                service,
                endpoint_url=self._settings.get("endpoint_url"),
                api_version=self._settings.get("api_version"),
                config=_config(self._settings.get("additional_config") or {}, once=once),
            )
        return self._clients[key]

    def _open(self) -> Any:
        if self._session is None:
            session = _session(
                aws_access_key_id=self._settings.get("aws_access_key_id"),
                aws_secret_access_key=self._settings.get("aws_secret_access_key"),
                aws_session_token=self._settings.get("aws_session_token"),
                region_name=self._settings.get("region_name"),
            )
            role = self._settings.get("assume_role")
            self._session = _as_role(session, role, self._settings) if role else session
        return self._session


def _session(**credentials: Optional[str]) -> Any:
    core = botocore.session.Session()
    core.register_component("data_loader", MODELS)
    return boto3.session.Session(botocore_session=core, **credentials)


def _as_role(session: Any, role: str, settings: Mapping[str, Any]) -> Any:
    """Return a session with the temporary credentials of a role."""
    with translated(f"assuming the role {role}"):
        client = session.client("sts", endpoint_url=settings.get("endpoint_url"), config=_config({}, once=False))
        answer = client.assume_role(RoleArn=role, RoleSessionName=ROLE_SESSION)["Credentials"]
    return _session(
        aws_access_key_id=answer["AccessKeyId"],
        aws_secret_access_key=answer["SecretAccessKey"],
        aws_session_token=answer["SessionToken"],
        region_name=session.region_name,
    )


def _config(additional: Mapping[str, Any], *, once: bool) -> Config:
    ours = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
    )
    given = ours.merge(Config(**additional)) if additional else ours
    return given.merge(Config(retries={"mode": "standard", "total_max_attempts": 1})) if once else given
