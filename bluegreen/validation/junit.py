"""A validation as JUnit XML, which every CI shows: a suite for each group, a case for each finding.

`skipped` is a skipped case and `error` an error; a warning is a passed case with its words, unless the validation fails
on warnings. A validation in which nothing was asked has no passed case at all.
"""

from itertools import groupby
from typing import TYPE_CHECKING

from bluegreen.validation.finding import Finding, Validation
from bluegreen.validation.shown import sorted_by_group

if TYPE_CHECKING:
    from junitparser import TestCase


def junit(validation: Validation) -> str:
    """The document."""
    from junitparser import JUnitXml, TestSuite  # heavy: only who asks for it pays

    document = JUnitXml(f"validation of {validation.stack}")
    against = {finding.id for finding in validation.against}
    for group, findings in groupby(sorted_by_group(validation), key=lambda finding: finding.group):
        suite = TestSuite(group)
        suite.timestamp = validation.began.isoformat()
        for finding in findings:
            suite.add_testcase(_case(finding, bad=finding.id in against))
        document.add_testsuite(suite)
    document.update_statistics()  # type: ignore[no-untyped-call]
    text: bytes = document.tostring()  # type: ignore[no-untyped-call]
    return text.decode()


def _case(finding: Finding, *, bad: bool) -> "TestCase":
    from junitparser import Error, Failure, Skipped, TestCase

    case = TestCase(finding.id, classname=finding.group, time=(finding.duration_ms or 0.0) / 1000)
    said = f"{finding.observed}\nexpected: {finding.expected}\n{finding.hint}\n{finding.doc}".strip()
    if finding.status == "skipped":
        case.result = [Skipped(finding.observed)]
    elif bad:
        kind = Error if finding.status == "error" else Failure
        result = kind(finding.observed, finding.status)
        result.text = said
        case.result = [result]
    elif finding.status != "pass":
        case.system_out = f"{finding.status}: {said}"
    return case
