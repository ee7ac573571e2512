"""Between our spelling of an entity (camelCase inputs, as state holds them) and Kong's (snake_case trees).

The spec's fields are the only dictionary: what is below a field that is not a spec itself (a plugin's config, a map of
headers) is somebody else's and is never touched. Held inputs are raw and may come from another version, so an unknown
key is carried along instead of refused.
"""

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from bluegreen.kong.schema import Tree
from bluegreen.spec import Spec


def tree(spec: Spec) -> Tree:
    """What a spec asks for, in Kong's words, secrets in the clear, without what was not given."""
    return {name: _given(value) for name, value in spec.model_dump(by_alias=False, exclude_none=True).items()}


def inputs(spec: Spec) -> dict[str, Any]:
    """What state holds of a spec: in our spelling, secrets in the clear, without what was not given."""
    return {name: _given(value) for name, value in spec.model_dump(by_alias=True, exclude_none=True).items()}


def secrets(spec: Spec) -> set[str]:
    """Every secret of a spec, so that no message shows it."""
    return set(_secrets(spec.model_dump()))


def from_inputs(model: type[BaseModel], raw: Mapping[str, Any]) -> Tree:
    """Held inputs in Kong's words, without what was not given."""
    found: Tree = {}
    names = _names(model)
    for key, value in raw.items():
        name = names.get(key)
        if name is None or value is None:
            continue
        inner = _model(model.model_fields[name])
        found[name] = from_inputs(inner, value) if inner and isinstance(value, Mapping) else _given(value)
    return found


def to_inputs(model: type[BaseModel], found: Tree, raw: Mapping[str, Any] | None) -> dict[str, Any]:
    """Back again: the fields that `raw` has, in its order and with its spelling; with `raw` None, every field there is.

    A null of `raw` stays: somebody wrote it down, and it says what leaving it out says.
    """
    if raw is None:
        raw = {field.alias or name: ... for name, field in model.model_fields.items() if name in found}
    result: dict[str, Any] = {}
    names = _names(model)
    for key, before in raw.items():
        name = names.get(key)
        if name is None or before is None:
            result[key] = before
            continue
        value, inner = found.get(name), _model(model.model_fields[name])
        if inner and isinstance(value, Mapping):
            value = to_inputs(inner, dict(value), before if isinstance(before, Mapping) else None)
        if value is not None:
            result[key] = value
    return result


def _names(model: type[BaseModel]) -> dict[str, str]:
    fields = model.model_fields.items()
    return {name: name for name, _ in fields} | {field.alias or name: name for name, field in fields}


def _model(field: FieldInfo) -> type[BaseModel] | None:
    for kind in (field.annotation, *get_args(field.annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def _given(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Mapping):
        return {name: _given(item) for name, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_given(item) for item in value]
    return value


def _secrets(value: Any) -> Iterator[str]:
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _secrets(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _secrets(item)
