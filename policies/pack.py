"""Rules as Pulumi's engine runs them: inputs become plain data, findings become reports.

The engine hands a stack validation only outputs, in which no Kong entity says what it is (measured). So a rule about
the whole stack hears every resource's inputs as they are checked, and judges when the engine asks about the stack.
Violations stop a preview; what a preview cannot know is an advisory line, and the update judges it.
"""

from collections.abc import Iterable, Mapping, Sequence
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


class Promise(str):
    """A rule's description. The SDK puts it as a line of its own before every violation, which says it all itself."""

    def __add__(self, violation: str) -> str:
        return violation.lstrip("\n")


class NotKnownYet(UnknownValueError):
    """What the SDK turns into an advisory line; the text is ours."""

    def __init__(self, unjudged: Sequence[Unjudged]) -> None:
        Exception.__init__(self)
        self.message = " ".join(dict.fromkeys(str(one) for one in unjudged))  # several plugins may hide behind one


class OfResource(ResourceValidationPolicy):
    """One resource rule, asked before each resource is touched."""

    def __init__(self, rule: ResourceRule) -> None:
        super().__init__(rule.name, Promise(rule.promise), self._judge, _LEVEL, config_schema=_schema(rule))
        self._rule = rule

    def _judge(self, args: ResourceValidationArgs, report: ReportViolation) -> None:
        if args.resource_type == self._rule.of:  # asked here too: making everything plain costs time
            _tell(self._rule.findings(resource(args), args.get_config()), report)


class OfStack(ResourceValidationPolicy, StackValidationPolicy):
    """One stack rule: as a resource policy it hears every resource, as a stack policy it judges."""

    def __init__(self, rule: StackRule) -> None:
        Policy.__init__(self, rule.name, Promise(rule.promise), _LEVEL, _schema(rule))
        self._rule = rule
        self._heard: dict[str, Resource] = {}

    def validate(self, args: ResourceValidationArgs | StackValidationArgs, report: ReportViolation) -> None:
        if isinstance(args, ResourceValidationArgs):
            self._heard[args.urn] = resource(args)
            return
        there = [self._heard.get(one.urn) or _unheard(one) for one in args.resources]
        _tell(self._rule.findings(there, args.get_config()), report)

    # Both parents' constructors want the third argument for something else, so what they would set up is said here.
    def has_validation(self) -> bool:
        return True

    def has_remediation(self) -> bool:
        return False


def policies(rules: Iterable[AnyRule]) -> list[Policy]:
    """Every rule as the engine takes it; how strict it is, a policy config may change."""
    return [OfResource(rule) if isinstance(rule, ResourceRule) else OfStack(rule) for rule in rules]


def resource(args: ResourceValidationArgs) -> Resource:
    return Resource(args.resource_type, args.name, _stack(args.urn), plain(args.props), args.urn)


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


def _unheard(there: PolicyResource) -> Resource:
    """A resource that this run knows of and did not check, such as one outside of its --target."""
    return Resource(there.resource_type, there.name, _stack(there.urn), UNKNOWN, there.urn)


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
