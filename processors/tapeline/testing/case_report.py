"""What came of declarative tests: for a terminal, for a program, and as JUnit XML."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final
from xml.etree import ElementTree as ET

from tapeline.testing.case_run import CaseResult

__all__ = ["counts_text", "junit_xml", "lines_of", "results_to_json"]

_XML_WHITESPACE: Final = frozenset("\t\n\r")


def lines_of(result: CaseResult) -> list[tuple[str, str]]:
    """Return the lines about a test, each with the colour that it has where there are colours."""
    if not (result.failures or result.problems):
        return [("green", f"ok    {result.place}: {result.name}")]
    lines = [("bold red", f"FAIL  {result.place}: {result.name}")]
    for text in (*result.problems, *result.failures):
        for line in text.splitlines():
            mark = line.lstrip()[:2]
            colour = {"- ": "green", "+ ": "red"}.get(mark, "default")
            lines.append((colour, f"  {line}"))
    return lines


def counts_text(results: Sequence[CaseResult]) -> str:
    """Return how many passed, failed and could not be run."""
    unusable = sum(bool(result.problems) for result in results)
    failed = sum(bool(result.failures) for result in results)
    passed = len(results) - unusable - failed
    files = len({result.file for result in results})
    text = f"{passed} passed, {failed} failed"
    if unusable:
        text += f", {unusable} could not be run"
    return f"{text}, in {files} {'file' if files == 1 else 'files'}"


def results_to_json(results: Sequence[CaseResult]) -> list[dict[str, Any]]:
    """Return plain data that is JSON as it is."""
    return [
        {
            "file": result.file,
            "place": result.place,
            "name": result.name,
            "passed": not (result.failures or result.problems),
            "seconds": round(result.seconds, 3),
            "failures": list(result.failures),
            "problems": list(result.problems),
        }
        for result in results
    ]


def junit_xml(results: Sequence[CaseResult]) -> bytes:
    """Return a report in the form that CI systems read: a suite a file, a case a test."""
    by_file: defaultdict[str, list[CaseResult]] = defaultdict(list)
    for result in results:
        by_file[result.file].append(result)
    root = ET.Element("testsuites", name="tapeline test")
    for file, cases in by_file.items():
        suite = ET.SubElement(
            root,
            "testsuite",
            name=_allowed(file),
            tests=str(len(cases)),
            failures=str(sum(bool(case.failures) for case in cases)),
            errors=str(sum(bool(case.problems) for case in cases)),
            time=f"{sum(case.seconds for case in cases):.3f}",
        )
        for case in cases:
            _add_case(suite, case)
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _add_case(suite: ET.Element, case: CaseResult) -> None:
    line = case.place.rpartition(":")[2]
    element = ET.SubElement(
        suite,
        "testcase",
        classname=_allowed(case.file),
        name=_allowed(case.name),
        file=_allowed(case.file),
        line=line,
        time=f"{case.seconds:.3f}",
    )
    for kind, texts in (("error", case.problems), ("failure", case.failures)):
        if texts:
            inner = ET.SubElement(element, kind, message=_allowed(texts[0].splitlines()[0]))
            inner.text = _allowed("\n".join(texts))


def _allowed(text: str) -> str:
    """Return a text without the characters that XML 1.0 can't hold."""
    return "".join(
        character
        if character in _XML_WHITESPACE
        or (
            character >= " "
            and not "\ud800" <= character <= "\udfff"
            and character not in "\ufffe\uffff"
        )
        else "\ufffd"
        for character in text
    )
