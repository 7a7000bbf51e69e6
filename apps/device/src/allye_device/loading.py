"""Reading the configuration: a TOML file, overridden key by key from the environment.

``ALLYE_DEVICE_BROKER__HOST=broker.example`` stands for ``host`` in ``[broker]``; two underscores go one table down. A key that
is not known is an error, and so is a missing one that has no safe default: nobody can guess how much power a battery takes.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import Struct

from allye_device.config import AgentConfig, ConfigError, KeyProblem

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["load_config"]

PREFIX: Final = "ALLYE_DEVICE_"
FILE_VARIABLE: Final = "ALLYE_DEVICE_CONFIG"

_Struct = TypeVar("_Struct", bound=Struct)


class _Text(NamedTuple):
    """A value from the environment, which has no types."""

    variable: str
    text: str


def load_config(file: Path | None, environ: Mapping[str, str]) -> AgentConfig:
    """Read the configuration.

    :param file: the TOML file; ``None``: the one that ``ALLYE_DEVICE_CONFIG`` names, or none at all.
    :param environ: the environment.
    :raises ConfigError: naming the file or variable, the key, and what to do.
    """
    if file is None and environ.get(FILE_VARIABLE):
        file = Path(environ[FILE_VARIABLE])
    where = f"environment (no --config FILE, no {FILE_VARIABLE})" if file is None else str(file)
    table = {} if file is None else _read(file)
    for variable in sorted(environ):
        if variable.startswith(PREFIX) and variable != FILE_VARIABLE:
            _overlay(table, _Text(variable, environ[variable]))
    if file is None and not table:
        raise ConfigError("", "", f"there is no configuration; give --config FILE, or name the file in {FILE_VARIABLE}")
    return _struct(AgentConfig, table, where, "")


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(str(file), "", f"cannot be read ({error.strerror}); name the file with --config") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(str(file), "", f"is not TOML: {error}") from error


def _overlay(table: dict[str, Any], value: _Text) -> None:
    *tables, key = value.variable.removeprefix(PREFIX).lower().split("__")
    for name in tables:
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            raise ConfigError(value.variable, "", f"{name!r} is no table")
    table[key] = value


def _struct(kind: type[_Struct], table: object, where: str, path: str) -> _Struct:
    if not isinstance(table, dict):
        _wrong(table, where, path, f"must be a table: [{path}]")
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    for name, value in table.items():
        if name not in fields:
            _wrong(value, where, _join(path, name), f"is not known; known: {', '.join(fields)}")
    missing = [name for name, field in fields.items() if field.required and name not in table]
    if missing:
        key = _join(path, missing[0])
        remedy = f"add it, or set {_variable(key)}" if _nested(fields[missing[0]].type) is None else f"add the table [{key}]"
        raise ConfigError(where, key, f"is missing; {remedy}")
    values = {name: _value(fields[name].type, value, where, _join(path, name)) for name, value in table.items()}
    try:
        return kind(**values)
    except KeyProblem as error:
        raise ConfigError(where, _join(path, error.key), str(error)) from error
    except ValueError as error:
        raise ConfigError(where, path, str(error)) from error


def _value(kind: Any, value: object, where: str, path: str) -> Any:
    nested = _nested(kind)
    if nested is not None:
        return _struct(nested, value, where, path)
    if isinstance(value, dict):
        value = {key: _literal(item) for key, item in value.items()}
    plain = value.text if isinstance(value, _Text) else value
    if isinstance(value, _Text) and any(get_origin(member) is tuple for member in (kind, *get_args(kind))):
        plain = _literal(value)
    try:
        return msgspec.convert(plain, kind, strict=not isinstance(value, _Text))
    except msgspec.ValidationError as error:
        return _wrong(value, where, path, f"{str(error).partition(' - at ')[0]}; correct it")


def _nested(kind: Any) -> type[Struct] | None:
    """The table that a key of this type is."""
    members = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    return next((member for member in members if isinstance(member, type) and issubclass(member, Struct)), None)


def _literal(value: object) -> object:
    """A value whose type only its reader knows, or a list: text from the environment is read as TOML if it is that."""
    if isinstance(value, dict):
        return {key: _literal(item) for key, item in value.items()}
    if not isinstance(value, _Text):
        return value
    try:
        return tomllib.loads(f"value = {value.text}")["value"]
    except tomllib.TOMLDecodeError:
        return value.text


def _wrong(value: object, where: str, path: str, what: str) -> NoReturn:
    raise ConfigError(value.variable if isinstance(value, _Text) else where, path, what)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _variable(path: str) -> str:
    return PREFIX + path.replace(".", "__").upper()
