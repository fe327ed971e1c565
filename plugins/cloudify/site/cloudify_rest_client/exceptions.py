"""Errors of the REST API: one class per error code that plugins tell apart."""

from outrider_facade import missing_from

__getattr__ = missing_from(__name__)


class CloudifyClientError(Exception):
    """The manager answered with an error."""

    ERROR_CODE = None

    def __init__(self, message, server_traceback=None, status_code=-1, error_code=None, response=None):
        super().__init__(message)
        self.message = message
        self.server_traceback = server_traceback
        self.status_code = status_code
        self.error_code = error_code
        self.response = response

    def __str__(self):
        return f"{self.status_code}: {self.message}" if self.status_code != -1 else str(self.message)


class DeploymentEnvironmentCreationInProgressError(CloudifyClientError):
    """The deployment is being created."""

    ERROR_CODE = "deployment_environment_creation_in_progress_error"


class DeploymentEnvironmentCreationPendingError(CloudifyClientError):
    """The deployment is going to be created."""

    ERROR_CODE = "deployment_environment_creation_pending_error"


class IllegalExecutionParametersError(CloudifyClientError):
    """The workflow does not take these parameters."""

    ERROR_CODE = "illegal_execution_parameters_error"


class NoSuchIncludeFieldError(CloudifyClientError):
    """A field that was asked for does not exist."""

    ERROR_CODE = "no_such_include_field_error"


class MissingRequiredDeploymentInputError(CloudifyClientError):
    """An input of the deployment is missing."""

    ERROR_CODE = "missing_required_deployment_input_error"


class UnknownDeploymentInputError(CloudifyClientError):
    """The blueprint has no such input."""

    ERROR_CODE = "unknown_deployment_input_error"


class UnknownDeploymentSecretError(CloudifyClientError):
    """The blueprint needs a secret that does not exist."""

    ERROR_CODE = "unknown_deployment_secret_error"


class UnsupportedDeploymentGetSecretError(CloudifyClientError):
    """A secret is used where it cannot be."""

    ERROR_CODE = "unsupported_deployment_get_secret_error"


class DeploymentPluginNotFound(CloudifyClientError):
    """The blueprint needs a plugin that is not there."""

    ERROR_CODE = "deployment_plugin_not_found"


class FunctionsEvaluationError(CloudifyClientError):
    """A function cannot be evaluated."""

    ERROR_CODE = "functions_evaluation_error"


class UnknownModificationStageError(CloudifyClientError):
    """A modification has no such stage."""

    ERROR_CODE = "unknown_modification_stage_error"


class ExistingStartedDeploymentModificationError(CloudifyClientError):
    """Another modification is running."""

    ERROR_CODE = "existing_started_deployment_modification_error"


class DeploymentModificationAlreadyEndedError(CloudifyClientError):
    """The modification has ended."""

    ERROR_CODE = "deployment_modification_already_ended_error"


class UserUnauthorizedError(CloudifyClientError):
    """The credentials are not accepted."""

    ERROR_CODE = "unauthorized_error"


class ForbiddenWhileCancelling(CloudifyClientError):
    """The execution is being cancelled."""

    ERROR_CODE = "forbidden_while_cancelling"


class MaintenanceModeActiveError(CloudifyClientError):
    """The manager is in maintenance mode."""

    ERROR_CODE = "maintenance_mode_active"


class MaintenanceModeActivatingError(CloudifyClientError):
    """The manager enters maintenance mode."""

    ERROR_CODE = "entering_maintenance_mode"


class PluginInUseError(CloudifyClientError):
    """A deployment uses the plugin."""

    ERROR_CODE = "plugin_in_use"


class BlueprintInUseError(CloudifyClientError):
    """Another blueprint uses the blueprint."""

    ERROR_CODE = "blueprint_in_use"


class PluginInstallationError(CloudifyClientError):
    """The plugin cannot be installed."""

    ERROR_CODE = "plugin_installation_error"


class PluginInstallationTimeout(CloudifyClientError):
    """The plugin's installation takes too long."""

    ERROR_CODE = "plugin_installation_timeout"


class InvalidExecutionUpdateStatus(CloudifyClientError):
    """The execution cannot take that status."""

    ERROR_CODE = "invalid_exception_status_update"


class DeploymentParentNotFound(CloudifyClientError):
    """The parent deployment does not exist."""

    ERROR_CODE = "deployment_parent_not_found_error"


class InvalidFilterRule(CloudifyClientError):
    """A filter rule is not valid."""

    ERROR_CODE = "invalid_filter_rule"


ERROR_MAPPING = {error.ERROR_CODE: error for error in CloudifyClientError.__subclasses__()}
