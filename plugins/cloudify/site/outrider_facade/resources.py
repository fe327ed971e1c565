"""Blueprint resources with the errors and the rendering that existing plugins expect."""

from cloudify.exceptions import HttpException

from outrider.plugins.sdk.errors import NonRecoverableError, ResourceNotFound


class FacadeResources:
    """The resources of one context's blueprint."""

    def __init__(self, ctx, sdk):
        self._ctx = ctx
        self._resources = sdk.resources

    def get(self, path):
        """Return bytes."""
        return _translated(path, self._resources.read, path)

    def render(self, path, template_variables):
        """Return rendered bytes; a variable that is not given becomes nothing."""
        if template_variables and "ctx" in template_variables:
            raise NonRecoverableError("template variables cannot contain 'ctx': it is given to every template")
        variables = {**(template_variables or {}), "ctx": self._ctx}
        return _translated(path, lambda: self._resources.render(path, variables, strict=False))

    def download(self, path, target):
        """Return a copy's path."""
        return _translated(path, self._resources.copy, path, target)

    def download_and_render(self, path, target, template_variables):
        """Return a rendered copy's path."""
        return self._resources.write(self.render(path, template_variables), path, target)

    def download_directory(self, path, target):
        """Return a folder's copy."""
        return _translated(path, self._resources.copy_folder, path, target)


def _translated(path, call, *args):
    try:
        return call(*args)
    except ResourceNotFound as error:
        raise HttpException(path, 404, f"Resource not found: {error}") from error
