"""GitHub's expressions, as far as this project's workflows use them: for the harness that carries workflows out.

Literals, contexts by their dots, `==`, `!=`, `!`, `&&`, `||`, parentheses, and the functions that are handed in. What
is not known is an error here, so that a workflow cannot quietly mean something else than the harness understood.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

TOKEN = re.compile(r"\s*(?:(==|!=|&&|\|\||!|\(|\)|,)|('(?:[^']|'')*')|(-?\d+(?:\.\d+)?)|([A-Za-z_][\w.-]*))")
WHOLE = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)

Functions = Mapping[str, Callable[..., Any]]


class Expression:
    """One expression, read from left to right."""

    def __init__(self, text: str, context: Mapping[str, Any], functions: Functions) -> None:
        self._context, self._functions = context, functions
        self._tokens = _tokens(text)

    def value(self) -> Any:
        """What it comes to."""
        found = self._either()
        assert not self._tokens, self._tokens
        return found

    def _either(self) -> Any:
        found = self._both()
        while self._next("||"):
            other = self._both()
            found = found or other
        return found

    def _both(self) -> Any:
        found = self._compared()
        while self._next("&&"):
            other = self._compared()
            found = found and other
        return found

    def _compared(self) -> Any:
        found = self._single()
        for sign, same in (("==", True), ("!=", False)):
            if self._next(sign):
                return (found == self._single()) is same
        return found

    def _single(self) -> Any:
        if self._next("!"):
            return not self._single()
        if self._next("("):
            found = self._either()
            assert self._next(")")
            return found
        kind, text = self._tokens.pop(0)
        if kind == "text":
            return text[1:-1].replace("''", "'")
        if kind == "number":
            return float(text)
        assert kind == "name", text
        return self._called(text) if self._next("(") else self._looked_up(text)

    def _called(self, name: str) -> Any:
        given = list[Any]()
        while not self._next(")"):
            given.append(self._either())
            self._next(",")
        return self._functions[name](*given)

    def _looked_up(self, name: str) -> Any:
        if name in ("true", "false"):
            return name == "true"
        first, *rest = name.split(".")
        found: Any = self._context[first]  # a context that there is not is a mistake; a missing key is empty
        for part in rest:
            found = (found or {}).get(part, "")
        return found

    def _next(self, sign: str) -> bool:
        taken = bool(self._tokens) and self._tokens[0] == ("sign", sign)
        if taken:
            self._tokens.pop(0)
        return taken


def filled(text: Any, context: Mapping[str, Any], functions: Functions) -> Any:
    """A value of a workflow with every `${{ … }}` in it put in place."""
    if not isinstance(text, str):
        return text
    return WHOLE.sub(lambda found: _shown(Expression(found[1], context, functions).value()), text)


def holds(condition: Any, context: Mapping[str, Any], functions: Functions) -> bool:
    """An `if:`; without a function that asks for the state of the job it means success, too."""
    text = WHOLE.sub(lambda found: found[1], str(condition if condition is not None else "success()"))
    if not re.search(r"\b(success|failure|always|cancelled)\(", text):
        text = f"success() && ({text})"
    return bool(Expression(text, context, functions).value())


def _tokens(text: str) -> list[tuple[str, str]]:
    found, at, text = list[tuple[str, str]](), 0, text.strip()
    kinds: Sequence[str] = ("sign", "text", "number", "name")
    while at < len(text):
        token = TOKEN.match(text, at)
        assert token is not None, text[at:]
        found.append(next((kind, part) for kind, part in zip(kinds, token.groups(), strict=True) if part is not None))
        at = token.end()
    return found


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
