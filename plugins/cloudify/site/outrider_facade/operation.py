"""Parts of the context: the operation call, the plugin, the old capabilities."""

import os
import sys

from outrider.plugins.sdk.errors import NonRecoverableError, OperationRetry
from outrider_facade.tracking import ImmutableProperties

__all__ = ["ContextCapabilities", "ImmutableProperties", "OperationContext", "PluginContext"]


class OperationContext:
    """The operation call, from the raw context's part; retries are noted at the SDK's operation if there is one."""

    def __init__(self, operation_context, sdk_operation=None):
        self._operation_context = operation_context
        self._sdk_operation = sdk_operation
        #: The pending `OperationRetry`, where no SDK operation keeps it.
        self._operation_retry = None

    @property
    def name(self):
        """The full name in the interface."""
        return self._operation_context.get("name")

    @property
    def retry_number(self):
        """0 at the first try."""
        return self._operation_context.get("retry_number")

    @property
    def max_retries(self):
        """-1 = without limit."""
        return self._operation_context.get("max_retries")

    @property
    def relationship(self):
        """``source`` or ``target``; which side executes."""
        return self._operation_context.get("relationship")

    def retry(self, message=None, retry_after=None):
        """Ask to be called again; takes effect when the operation returns."""
        if self._sdk_operation is not None:
            self._sdk_operation.retry(message, retry_after)
        else:
            self._operation_retry = OperationRetry(message or "", retry_after=retry_after)


class PluginContext(str):
    """The plugin's name, with details as attributes."""

    def __new__(cls, plugin_context, sdk=None):
        """Make the text."""
        plugin = super().__new__(cls, plugin_context.get("name") or "")
        plugin._plugin_context = plugin_context
        plugin._sdk = sdk
        return plugin

    @property
    def name(self):
        """The plugin's name in the blueprint."""
        return self._plugin_context.get("name")

    @property
    def package_name(self):
        """The name of its distribution."""
        return self._plugin_context.get("package_name")

    @property
    def package_version(self):
        """The version of its distribution."""
        return self._plugin_context.get("package_version")

    @property
    def source(self):
        """Where a plugin comes from that is not a wagon."""
        return self._plugin_context.get("source")

    @property
    def properties(self):
        """Name -> {type, description, value …}, or None."""
        return self._plugin_context.get("properties")

    @property
    def prefix(self):
        """The plugin's virtualenv."""
        return sys.prefix

    @property
    def workdir(self):
        """A folder of the plugin in the deployment's folder, made at the first use; None without a plugin."""
        if not self:
            return None
        base = os.environ.get("AGENT_WORK_DIR") or (self._sdk.work_dir if self._sdk is not None else None)
        if base is None:
            return None
        deployment = self._sdk.deployment.id if self._sdk is not None else "deployment"
        folder = os.path.join(base, "deployments", deployment, "plugins", str(self))
        os.makedirs(folder, exist_ok=True)
        return folder


class ContextCapabilities:
    """The runtime properties of all relationship targets, searched by key; deprecated long ago."""

    def __init__(self, instance):
        self._instance = instance

    def get_all(self):
        """Return target instance id -> its runtime properties."""
        return {
            relationship.target.instance.id: relationship.target.instance.runtime_properties
            for relationship in self._instance.relationships
        }

    def __getitem__(self, key):
        found = [properties for properties in self.get_all().values() if key in properties]
        if len(found) != 1:
            many = "more than one target has" if found else "no target has"
            raise NonRecoverableError(f"{many} the capability {key!r}")
        return found[0][key]

    def __contains__(self, key):
        return any(key in properties for properties in self.get_all().values())
