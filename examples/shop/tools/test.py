"""Runs the unit tests and leaves JUnit XML and Cobertura XML in `reports/`."""

import argparse
import os
import pathlib
import sys
import time
import traceback
import unittest
import xml.etree.ElementTree as ET

sys.path[:0] = [os.getcwd(), os.path.dirname(os.path.abspath(__file__))]

from coverage import Coverage  # noqa: E402


class Result(unittest.TextTestResult):
    """Remembers how long each test took and how it ended."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.cases = []

    def startTest(self, test):
        super().startTest(test)
        self.started, self.outcome = time.perf_counter(), None

    def stopTest(self, test):
        super().stopTest(test)
        self.cases.append((test, time.perf_counter() - self.started, self.outcome))

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.outcome = ("failure", err)

    def addError(self, test, err):
        super().addError(test, err)
        self.outcome = ("error", err)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.outcome = ("failure" if issubclass(err[0], test.failureException) else "error", err)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.outcome = ("skipped", reason)


def write_junit(result, seconds, target):
    count = {kind: sum(1 for _, _, it in result.cases if it and it[0] == kind) for kind in ("failure", "error", "skipped")}
    totals = {"tests": len(result.cases), "failures": count["failure"], "errors": count["error"], "skipped": count["skipped"]}
    totals = {**{name: str(number) for name, number in totals.items()}, "time": "%.3f" % seconds}
    suites = ET.Element("testsuites", totals)
    suite = ET.SubElement(suites, "testsuite", {"name": "shop", **totals})
    for test, took, outcome in result.cases:
        owner, name = test.id().rsplit(".", 1)
        case = ET.SubElement(suite, "testcase", {"classname": owner, "name": name, "time": "%.4f" % took})
        if outcome and outcome[0] == "skipped":
            ET.SubElement(case, "skipped", {"message": outcome[1]})
        elif outcome:
            kind, err = outcome
            node = ET.SubElement(case, kind, {"type": err[0].__name__, "message": str(err[1])})
            node.text = "".join(traceback.format_exception(*err))
    ET.ElementTree(suites).write(target, encoding="utf-8", xml_declaration=True)


def tell(variable, line):
    """Adds a line to the file that the workflow's runner names, if there is one."""
    if os.environ.get(variable):
        with open(os.environ[variable], "a", encoding="utf-8") as file:
            file.write(line + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--coverage-min", type=float, default=0.0, metavar="PERCENT")
    arguments = parser.parse_args()
    reports = pathlib.Path("reports")
    reports.mkdir(exist_ok=True)
    started = time.perf_counter()
    with Coverage("shop") as coverage:
        suite = unittest.defaultTestLoader.discover("tests", top_level_dir=".")
        result = unittest.TextTestRunner(resultclass=Result, verbosity=1).run(suite)
    write_junit(result, time.perf_counter() - started, reports / "junit.xml")
    coverage.write(reports / "coverage.xml")
    percent = 100 * coverage.rate()
    print("%d tests, %.1f %% of the lines ran" % (result.testsRun, percent))
    tell("GITHUB_OUTPUT", "coverage=%.1f" % percent)
    failed = len(result.failures + result.errors)
    tell("GITHUB_STEP_SUMMARY", "%d tests, %d failed, %.1f %% of the lines ran" % (result.testsRun, failed, percent))
    if percent < arguments.coverage_min:
        print("that is less than %.1f %%" % arguments.coverage_min, file=sys.stderr)
        return 1
    return 0 if result.wasSuccessful() and result.testsRun else 1


if __name__ == "__main__":
    sys.exit(main())
