"""From a YAML file and ``--set`` overrides to a :class:`RunConfig`, or one clear sentence.

YAML is read with the safe loader, aliases are refused (a few hundred bytes of them can expand to gigabytes), and
files above 1 MB are not configurations.
"""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from ntkdist.config.models import RunConfig
from ntkdist.errors import InputError

MAX_BYTES = 1_000_000


def load_config(path: str | Path, overrides: Iterable[str] = ()) -> RunConfig:
    """Read the run configuration at ``path`` and apply ``key.sub=value`` overrides.

    Raises
    ------
    InputError
        The file is missing, not UTF-8, not YAML, uses aliases, or holds an unknown key or a bad value.
    """
    file = Path(path)
    try:
        if file.stat().st_size > MAX_BYTES:
            raise InputError(f"{file} is larger than 1 MB, so it is not a run configuration.")
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"The configuration {file} does not exist; `ntkdist init` writes one.") from None
    except IsADirectoryError:
        raise InputError(f"{file} is a folder, not a configuration file.") from None
    except UnicodeDecodeError:
        raise InputError(f"{file} is not UTF-8 text, so it is not a run configuration.") from None
    except PermissionError:
        raise InputError(f"The configuration {file} cannot be read: permission denied.") from None
    return parse_config(_read_yaml(text, str(file)), overrides, where=str(file))


def parse_config(tree: Any, overrides: Iterable[str] = (), *, where: str = "configuration") -> RunConfig:
    """Validate a plain tree (as YAML gives it) with overrides applied."""
    if not isinstance(tree, dict):
        raise InputError(f"{where} must be a mapping with the key data.path, but is {type(tree).__name__}.")
    tree = apply_overrides(tree, overrides)
    try:
        return RunConfig.model_validate(tree)
    except ValidationError as error:
        raise InputError(f"{where}: {_sentence(error)}") from None


def apply_overrides(tree: dict[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Return a copy of ``tree`` with each ``a.b=value`` set; values are read as YAML scalars or lists."""
    result: dict[str, Any] = {k: dict(v) if isinstance(v, dict) else v for k, v in tree.items()}
    for item in overrides:
        key, equals, text = item.partition("=")
        if not equals or not key.strip():
            raise InputError(f"--set {item!r} is not of the form key.sub=value, e.g. kernel.depth=5.")
        value = _read_yaml(text, f"--set {key}")
        *path, last = key.strip().split(".")
        node = result
        for part in path:
            child = node.get(part)
            node[part] = dict(child) if isinstance(child, dict) else {}
            node = node[part]
        node[last] = value
    return result


class _Loader(yaml.SafeLoader):
    """The safe loader, refusing aliases and duplicate keys."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event: Any = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.constructor.ConstructorError(
                None, None, "aliases (*name) are not accepted in a configuration", event.start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} stands twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


# YAML 1.1 reads 1e-8 as text; a configuration means the number.
_FLOAT = r"^[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9]+)[eE][-+]?[0-9]+$"
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(_FLOAT), list("-+0123456789."))


def _read_yaml(text: str, where: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a subclass of SafeLoader
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark is not None else ""
        problem = getattr(error, "problem", None) or "it nests too deeply or holds an impossible value"
        raise InputError(f"{where} is not a valid YAML configuration{place}: {problem}.") from None


def _sentence(error: ValidationError) -> str:
    """Say the first problem, with the nearest valid key when a key is unknown."""
    problems = error.errors(include_url=False)
    first = problems[0]
    location = [str(part) for part in first["loc"]]
    # Branches of a union (literal['auto'], constrained-int) are pydantic's own words, not keys.
    location = [part for part in location if "[" not in part and "-" not in part]
    key = ".".join(location)
    others = sum(1 for p in problems[1:] if p["loc"][: len(location)] != first["loc"][: len(location)])
    more = f" ({others} more problems follow.)" if others else ""
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(key, list(_all_keys(RunConfig)), n=1, cutoff=0.5)
        hint = (
            f"; did you mean {near[0]}?"
            if near and near[0].count(".") == key.count(".")
            else f"; known here: {', '.join(_siblings(location))}."
        )
        return f"unknown key {key}{hint}{more}"
    if first["type"] == "missing":
        return f"the key {key} is required.{more}"
    messages = [str(p["msg"]) for p in problems if p["loc"][: len(location)] == first["loc"][: len(location)]]
    message = " or ".join(dict.fromkeys(m.removeprefix("Input should be ") for m in messages))
    message = message.removeprefix("Value error, ").removeprefix("Input should be ")
    got = "" if isinstance(first.get("input"), dict) else f", not {first.get('input')!r}"
    verb = " must be " if str(first["msg"]).startswith("Input should be ") else ": "
    return f"{key}{verb}{message}{got}.{more}" if key else f"{message}.{more}"


def _models_in(annotation: Any) -> Iterable[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif typing.get_origin(annotation) in (typing.Union, types.UnionType, tuple, list, typing.Annotated):
        for part in typing.get_args(annotation):
            yield from _models_in(part)


def _all_keys(model: type[BaseModel], prefix: str = "") -> Iterable[str]:
    for name, field in model.model_fields.items():
        yield prefix + name
        for inner in _models_in(field.annotation):
            yield from _all_keys(inner, f"{prefix}{name}.")


def _siblings(location: list[str]) -> list[str]:
    models: list[type[BaseModel]] = [RunConfig]
    for part in location[:-1]:
        inner = [
            m for model in models if part in model.model_fields for m in _models_in(model.model_fields[part].annotation)
        ]
        models = inner or models
    return list(dict.fromkeys(name for model in models for name in model.model_fields))
