"""Looks for what lets strangers in and leaves SARIF: eval, shells, SQL put together from text, secrets in the source."""

import ast
import json
import pathlib
import re
import sys

RULES = {
    "eval": ("error", "9.8", "Text from outside may become code"),
    "shell": ("error", "9.1", "Text from outside may reach a shell"),
    "sql": ("error", "8.8", "SQL is put together from text; pass values as parameters"),
    "secret": ("error", "7.5", "A secret is written into the source"),
    "pickle": ("warning", "6.5", "Unpickling runs whatever the bytes say"),
    "bind-all": ("note", "3.1", "Listens on every interface"),
}
SECRET_NAME = re.compile(r"password|passwd|secret|token|api_?key|private_?key", re.I)
SECRET_TEXT = re.compile(r"AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36}|-----BEGIN [A-Z ]*PRIVATE KEY")
SQL_TEXT = re.compile(r"\s*(select|insert|update|delete)\s", re.I)


def findings(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from call_findings(node)
        if isinstance(node, ast.Assign) and is_text(node.value) and len(node.value.value) >= 8:
            names = [it.id if isinstance(it, ast.Name) else getattr(it, "attr", "") for it in node.targets]
            if any(SECRET_NAME.search(name) for name in names):
                yield "secret", node
        if is_text(node) and SECRET_TEXT.match(node.value):
            yield "secret", node
        if is_text(node) and node.value == "0.0.0.0":
            yield "bind-all", node


def call_findings(node):
    name = ast.unparse(node.func)
    if name in ("eval", "exec"):
        yield "eval", node
    if name in ("os.system", "os.popen") or any(it.arg == "shell" and getattr(it.value, "value", False) for it in node.keywords):
        yield "shell", node
    if name in ("pickle.load", "pickle.loads"):
        yield "pickle", node
    if name.split(".")[-1] in ("execute", "executemany", "executescript") and node.args and is_built_sql(node.args[0]):
        yield "sql", node


def is_built_sql(node):
    if isinstance(node, ast.JoinedStr):
        return any(isinstance(it, ast.FormattedValue) for it in node.values)
    if isinstance(node, ast.BinOp):
        return any(is_text(it) and SQL_TEXT.match(it.value) for it in ast.walk(node))
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format"


def is_text(node):
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def sarif(results):
    rules = [
        {
            "id": rule,
            "shortDescription": {"text": text},
            "defaultConfiguration": {"level": level},
            "properties": {"security-severity": severity, "tags": ["security"]},
        }
        for rule, (level, severity, text) in RULES.items()
    ]
    driver = {"name": "shop-scan", "version": "1.0.0", "informationUri": "https://example.invalid/shop-scan", "rules": rules}
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}],
    }


def result(path, rule, node):
    region = {"startLine": node.lineno, "startColumn": node.col_offset + 1}
    return {
        "ruleId": rule,
        "ruleIndex": list(RULES).index(rule),
        "level": RULES[rule][0],
        "message": {"text": RULES[rule][2]},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": path.as_posix()}, "region": region}}],
    }


def main(folders):
    results = []
    for path in sorted(path for folder in folders for path in pathlib.Path(folder).rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        results += [result(path, rule, node) for rule, node in findings(tree)]
    target = pathlib.Path("reports/scan.sarif")
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(sarif(results), indent=2) + "\n", encoding="utf-8")
    for it in results:
        place = it["locations"][0]["physicalLocation"]
        print("%s:%d: %s: %s" % (place["artifactLocation"]["uri"], place["region"]["startLine"], it["level"], it["message"]["text"]))
    print("%d findings, in %s" % (len(results), target))
    return 1 if any(it["level"] == "error" for it in results) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["shop"]))
