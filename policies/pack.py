"""Rules as Pulumi's engine runs them: inputs become plain data, findings become reports.

The engine hands a stack validation only outputs, in which no Kong entity says what it is (measured). So a rule about
the whole stack hears every resource's inputs as they are checked, and judges when the engine asks about the stack. What
one of these rules has heard, all of them know: making a resource plain costs time, and there are hundreds.
Violations stop a preview; what a preview cannot know is an advisory line, and the update judges it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyConfigSchema,
    PolicyResource,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError

from policies.rule import UNKNOWN, AnyRule, Finding, Resource, ResourceRule, StackRule, Unjudged, Violation

_LEVEL = EnforcementLevel.MANDATORY
TELLING = frozenset({"bluegreen:rollout:Traffic", "bluegreen:postgres:Migration"})  # whose outputs a rule asks for


class Promise(str):
    """A rule's description. The SDK puts it as a line of its own before every violation, which says it all itself."""

    def __add__(self, violation: str) -> str:
        return violation.lstrip("\n")


class NotKnownYet(UnknownValueError):
    """What the SDK turns into an advisory line; the text is ours."""

    def __init__(self, unjudged: Sequence[Unjudged]) -> None:
        Exception.__init__(self)
        self.message = " ".join(dict.fromkeys(str(one) for one in unjudged))  # several plugins may hide behind one


class Hearing:
    """Every resource as it was when it was checked, and at the end the stack that they are."""

    def __init__(self) -> None:
        self._heard: dict[str, Resource] = {}
        self._by: dict[str, set[str]] = {}

    def hear(self, args: ResourceValidationArgs, by: str) -> None:
        """Note one resource; each rule passes on what it is handed, and the first of them is enough.

        Args:
            by: the rule. One that has spoken for this resource already is handed it anew: it is checked once more.
        """
        if by in self._by.setdefault(args.urn, {by}):
            self._heard[args.urn] = resource(args)
            self._by[args.urn] = {by}
        self._by[args.urn].add(by)

    def stack(self, resources: Sequence[PolicyResource]) -> list[Resource]:
        """What is there at the end, each with its inputs, what it depends on and what it tells."""
        return [self._whole(one) for one in resources]

    def _whole(self, there: PolicyResource) -> Resource:
        # A resource that this run knows of and did not check, such as one outside of its --target, was not heard.
        heard = self._heard.get(there.urn) or Resource(
            there.resource_type, there.name, _stack(there.urn), UNKNOWN, there.urn, there.opts.protect
        )
        outputs = plain(there.props) if there.resource_type in TELLING else {}
        return replace(heard, outputs=outputs, needs=frozenset(one.urn for one in there.dependencies))


class OfResource(ResourceValidationPolicy):
    """One resource rule, asked before each resource is touched."""

    def __init__(self, rule: ResourceRule) -> None:
        super().__init__(rule.name, Promise(rule.promise), self._judge, _LEVEL, config_schema=_schema(rule))
        self._rule = rule

    def _judge(self, args: ResourceValidationArgs, report: ReportViolation) -> None:
        if args.resource_type in self._rule.of:  # asked here too: making everything plain costs time
            _tell(self._rule.findings(resource(args), args.get_config()), report)


class OfStack(ResourceValidationPolicy, StackValidationPolicy):
    """One stack rule: as a resource policy it hears every resource, as a stack policy it judges."""

    def __init__(self, rule: StackRule, hearing: Hearing) -> None:
        Policy.__init__(self, rule.name, Promise(rule.promise), _LEVEL, _schema(rule))
        self._rule = rule
        self._hearing = hearing

    def validate(self, args: ResourceValidationArgs | StackValidationArgs, report: ReportViolation) -> None:
        if isinstance(args, ResourceValidationArgs):
            self._hearing.hear(args, by=self._rule.name)
            return
        _tell(self._rule.findings(self._hearing.stack(args.resources), args.get_config()), report)

    # Both parents' constructors want the third argument for something else, so what they would set up is said here.
    def has_validation(self) -> bool:
        return True

    def has_remediation(self) -> bool:
        return False


def policies(rules: Iterable[AnyRule]) -> list[Policy]:
    """Every rule as the engine takes it; how strict it is, a policy config may change."""
    hearing = Hearing()
    return [OfResource(rule) if isinstance(rule, ResourceRule) else OfStack(rule, hearing) for rule in rules]


def resource(args: ResourceValidationArgs) -> Resource:
    return Resource(args.resource_type, args.name, _stack(args.urn), plain(args.props), args.urn, args.opts.protect)


def plain(value: Any) -> Any:
    """The SDK's guarded properties as plain data, `UNKNOWN` where they guard something."""
    if isinstance(value, Mapping):
        return {key: _held(value, key) for key in value}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_held(value, index) for index in range(len(value))]
    if isinstance(value, float) and value.is_integer():
        return int(value)  # the wire knows doubles alone
    return value


def _held(guarded: Any, key: Any) -> Any:
    try:
        return plain(guarded[key])
    except UnknownValueError:
        return UNKNOWN


def _stack(urn: str) -> str:
    return urn.removeprefix("urn:pulumi:").partition("::")[0]


def _schema(rule: AnyRule) -> PolicyConfigSchema | None:
    parameters = {name: dict(schema) for name, schema in rule.parameters.items()}
    return PolicyConfigSchema(parameters) if parameters else None


def _tell(findings: Sequence[Finding], report: ReportViolation) -> None:
    for found in findings:
        if isinstance(found, Violation):
            report(found.sentence, found.resource.urn if found.resource else None)
    unjudged = [found for found in findings if isinstance(found, Unjudged)]
    if unjudged:
        raise NotKnownYet(unjudged)
