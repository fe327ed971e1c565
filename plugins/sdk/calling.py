"""From ``module.function`` to a call that fits the function's signature.

Used by `execute`. Signatures are read from code objects: `inspect` takes longer to import than most operations' calls.
"""

from __future__ import annotations

from importlib import import_module

from outrider.plugins.sdk.errors import NonRecoverableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Callable, Optional

#: The flag of a code object that has ``**kwargs`` (`inspect.CO_VARKEYWORDS`).
_VARKEYWORDS = 0x08


class OperationNotLoaded(NonRecoverableError):
    """The operation's module cannot be imported, or has no such function."""


class InputsDoNotFit(NonRecoverableError):
    """The operation's function does not take the inputs that it was given."""


def load_operation(path: str) -> Callable[..., Any]:
    """Import ``module.function``. Raises `OperationNotLoaded`."""
    module_name, _, function_name = path.rpartition(".")
    if not module_name:
        raise OperationNotLoaded(f"the operation {path!r} does not have the form module.function")
    try:
        module = import_module(module_name)
    # Importing runs the plugin's code: whatever it raises, even SystemExit, means that the plugin cannot be used.
    except BaseException as error:
        raise OperationNotLoaded(_mistake(path) or _not_imported(path, error)) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise OperationNotLoaded(_mistake(path) or f"{path!r} is no function ({_file_of(module)})")
    return function  # type: ignore[no-any-return]  # callable() narrows to Callable[..., object]


def _mistake(path: str) -> Optional[str]:
    # Loaded where it is needed: few operations have a wrong name.
    from outrider.plugins.sdk.misnamed import misnamed

    return misnamed(path)


def _not_imported(path: str, error: BaseException) -> str:
    """Say which line of the plugin's code failed while it was imported."""
    place, trace = "", error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        # Lines of the import system itself tell nobody anything.
        if not file.startswith("<frozen") and file != __file__ and not file.endswith("importlib/__init__.py"):
            place = f" ({file}, line {trace.tb_lineno})"
        trace = trace.tb_next
    module_name = path.rpartition(".")[0]
    missing = (error.name or ".") if isinstance(error, ModuleNotFoundError) else "."
    # With a dot in it, or with the plugin's own first name, the distribution is there, and is another one than thought.
    elsewhere = "." not in missing and missing != module_name.partition(".")[0]
    remedy = "; is it among the plugin's dependencies, under its distribution's name?" if elsewhere else ""
    return (
        f"cannot import the module {module_name!r} of the operation {path!r}: "
        f"{type(error).__name__}: {error}{'' if isinstance(error, SyntaxError) else place}{remedy}"
    )


def arguments_for(function: Callable[..., Any], inputs: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Return the keyword arguments of the call: the inputs, and `ctx` if the function takes it.

    Raises `InputsDoNotFit`, which no retry would mend.
    """
    signature = _Signature.of(function)
    arguments = dict(inputs)
    if signature is None or signature.takes("ctx"):
        arguments["ctx"] = context
    if signature is not None:
        signature.check(arguments, name=getattr(function, "__qualname__", repr(function)))
    return arguments


class _Signature:
    """Which keywords a function takes."""

    def __init__(self, *, names: set[str], required: set[str], any_keyword: bool) -> None:
        self._names = names
        self._required = required
        self._any_keyword = any_keyword

    @classmethod
    def of(cls, function: Callable[..., Any]) -> Optional[_Signature]:
        """Return the signature, or None if the object does not tell (a C function)."""
        code = getattr(function, "__code__", None)
        # The class of plain functions; bound methods, partials and callable objects take the long way.
        if code is None or type(function) is not type(load_operation):
            return cls._by_inspection(function)
        positional = code.co_varnames[: code.co_argcount]
        keyword_only = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
        with_default = set(positional[len(positional) - len(function.__defaults__ or ()) :])
        with_default |= set(function.__kwdefaults__ or ())
        by_keyword = set(positional[code.co_posonlyargcount :]) | set(keyword_only)
        required = (set(positional) | set(keyword_only)) - with_default
        return cls(names=by_keyword, required=required, any_keyword=bool(code.co_flags & _VARKEYWORDS))

    @classmethod
    def _by_inspection(cls, function: Callable[..., Any]) -> Optional[_Signature]:
        from inspect import Parameter, signature

        try:
            parameters = signature(function, follow_wrapped=False).parameters.values()
        except (TypeError, ValueError):
            return None
        keywords = [p for p in parameters if p.kind in (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)]
        return cls(
            names={parameter.name for parameter in keywords},
            required={parameter.name for parameter in keywords if parameter.default is Parameter.empty},
            any_keyword=any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters),
        )

    def takes(self, name: str) -> bool:
        return self._any_keyword or name in self._names

    def check(self, arguments: Mapping[str, Any], *, name: str) -> None:
        missing = sorted(self._required - set(arguments))
        unknown = [] if self._any_keyword else sorted(set(arguments) - self._names)
        if not missing and not unknown:
            return
        problems = []
        if missing:
            problems.append(f"needs the inputs {', '.join(missing)}, which are not given")
        if unknown:
            problems.append(f"does not take the inputs {', '.join(unknown)} (it takes {_listed(self._names)})")
        raise InputsDoNotFit(f"the operation's function {name} {' and '.join(problems)}")


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _file_of(module: Any) -> str:
    return getattr(module, "__file__", None) or "built in"
