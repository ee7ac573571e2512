"""Check, and everything else where a bag meets a model: validate, fill, dump.

Inputs are validated as JSON, strictly: a list may be a tuple then and text a span of time, but "1" is never 1. What
Check hands back is the validated spec with exactly the fields that somebody set or `fill` added, in camelCase, so a
field with a default that a later version adds changes nothing that was there before. State is read forgivingly:
whatever an older or newer version wrote, what can be understood is kept and the rest is at its default.

A secret is whatever came as one, and whatever a model types as `SecretStr`. Nothing here does I/O.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from typing import Any, TypeVar, cast, get_args, get_origin

from pydantic import BaseModel, SecretBytes, SecretStr, ValidationError
from pydantic_core import ErrorDetails, to_jsonable_python

from bluegreen.handler import Halt, Handler
from bluegreen.provider.wire import UNKNOWN, Bag, Path, settle
from bluegreen.spec import Spec, State, problems

M = TypeVar("M", bound=Spec)
T = TypeVar("T", bound=State)


def check(handler: Handler[Any, Any], news: Bag, olds: Mapping[str, Any]) -> tuple[Bag, list[str]]:
    """The inputs as they will be kept, and what is wrong with them, one sentence each.

    Unknown inputs are for the real run to judge: what they may have caused is not held against anybody, `fill` is not
    asked, and the inputs stay as they were given.
    """
    try:
        spec = parse(handler.spec, news.values)
        if not news.unknowns:
            return dump(handler.fill(spec, olds), given=True, secrets=news.secrets), []
        wrong = []
    except ValidationError as error:
        wrong = _known_problems(error, news)
    except Halt as halt:
        wrong = [str(halt)]
    return Bag(news.values, news.secrets | typed_secrets(handler.spec, news.values), news.unknowns), wrong


def parse(model: type[M], values: Mapping[str, Any]) -> M:
    """Plain data as a model, by the model's own strictness.

    Raises:
        ValidationError: it does not fit; an unknown value counts as null.
    """
    return model.model_validate_json(json.dumps(values, default=_nothing))


def forgive(model: type[T], values: Mapping[str, Any]) -> T:
    """Plain data as a state, never failing: what does not fit is left at its default."""
    rest = dict(values)
    while True:
        try:
            return parse(model, rest)
        except ValidationError as error:
            unfit = {fault["loc"][0] for fault in error.errors(include_url=False) if fault["loc"]} & set(rest)
            if not unfit:  # not one field's fault
                return _default(model)
            rest = {key: value for key, value in rest.items() if key not in unfit}


def dump(model: BaseModel, *, given: bool = False, secrets: Collection[Path] = ()) -> Bag:
    """A model as a bag in camelCase: every field, or only those `given`; secret by its types or by `secrets`."""
    found: list[Path] = []
    values = _plain(model.model_dump(by_alias=True, exclude_unset=given, exclude_none=True), (), found)
    return Bag(values, settle(secrets, values).union(found))


def conceal(model: type[Spec], values: Mapping[str, Any], secrets: Collection[Path] = ()) -> Bag:
    """Raw inputs as a bag: secret where the model's types say so, or by `secrets`."""
    found: list[Path] = []
    plain = _plain(values, (), found)
    return Bag(plain, settle(secrets, plain) | typed_secrets(model, plain) | frozenset(found))


def unknown_outputs(model: type[State]) -> Bag:
    """Every field of a state, each to be known only after the real run."""
    names = [field.serialization_alias or name for name, field in model.model_fields.items()]
    return Bag(dict.fromkeys(names, UNKNOWN))


def _nothing(_: object) -> None:
    return None


def _default(model: type[T]) -> T:
    try:
        return model()
    except ValidationError:
        return cast(T, model.model_construct())


def _plain(value: Any, at: Path, found: list[Path]) -> Any:
    if value is None or isinstance(value, str | int | float):
        return getattr(value, "value", value)  # an enum that is text, too
    if isinstance(value, Mapping):
        return {str(key): _plain(item, (*at, str(key)), found) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_plain(item, (*at, index), found) for index, item in enumerate(value)]
    if isinstance(value, set | frozenset):
        return sorted(_plain(item, at, found) for item in value)
    if isinstance(value, BaseModel):
        return _plain(value.model_dump(by_alias=True, exclude_unset=True, exclude_none=True), at, found)
    if isinstance(value, SecretStr):
        found.append(at)
        return value.get_secret_value()
    if isinstance(value, SecretBytes):
        found.append(at)
        return value.get_secret_value().decode()
    return to_jsonable_python(value)


def _known_problems(error: ValidationError, news: Bag) -> list[str]:
    faults, sentences = error.errors(include_url=False), problems(error)
    return [sentence for fault, sentence in zip(faults, sentences, strict=True) if not _clouded(fault, news)]


def _clouded(fault: ErrorDetails, news: Bag) -> bool:
    """Whether a fault may only be there because a value at, above or below it is not known yet."""
    where = _in_data(fault["loc"], news.values)
    for unknown in news.unknowns:
        shared = min(len(where), len(unknown))
        if where[:shared] == unknown[:shared]:
            above = len(where) < len(unknown)
            exact = len(fault["loc"]) - len(where) == {"missing": 1, "extra_forbidden": 0}.get(fault["type"], -1)
            return not (above and exact)
    return False


def _in_data(location: tuple[int | str, ...], values: Any) -> Path:
    # pydantic puts the names of union branches into a location; the data does not have them.
    found: list[int | str] = []
    for part in location:
        if part in values if isinstance(values, Mapping) else isinstance(part, int) and isinstance(values, list):
            found.append(part)
            values = values[part]
    return tuple(found)


def typed_secrets(model: type[BaseModel], values: Mapping[str, Any]) -> frozenset[Path]:
    """Where raw values hold what the model types as secret."""
    return frozenset(_secrets(model, values, ())) if _keeps_secrets(model) else frozenset()


def _secrets(kind: Any, value: Any, at: Path) -> Iterator[Path]:
    if _is_a(kind, SecretStr, SecretBytes):
        if value is not None:
            yield at
    elif _is_a(kind, BaseModel):
        for name, field in kind.model_fields.items() if isinstance(value, Mapping) else ():
            for key in {name, field.alias or name} & set(value):
                yield from _secrets(field.annotation, value[key], (*at, key))
    elif _is_collection(kind):
        items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
        for key, item in items:
            yield from _secrets(get_args(kind)[-1], item, (*at, key))
    else:  # a union, an Annotated, or a plain type
        for part in get_args(kind):
            yield from _secrets(part, value, at)


@cache
def _keeps_secrets(model: type[BaseModel]) -> bool:
    seen: set[type[BaseModel]] = set()
    todo: list[Any] = [model]
    while todo:
        kind = todo.pop()
        if _is_a(kind, SecretStr, SecretBytes):
            return True
        if not _is_a(kind, BaseModel):
            todo += get_args(kind)
        elif kind not in seen:
            seen.add(kind)
            todo += [field.annotation for field in kind.model_fields.values()]
    return False


def _is_a(kind: Any, *classes: type) -> bool:
    return isinstance(kind, type) and issubclass(kind, classes)


def _is_collection(kind: Any) -> bool:
    return _is_a(get_origin(kind), Collection) and bool(get_args(kind))
