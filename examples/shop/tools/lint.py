"""Finds what the compiler lets through: unused imports, bare excepts, mutable defaults, names that hide builtins, long lines."""

import ast
import builtins
import pathlib
import sys

WIDTH_MAX = 140
HIDING_ALLOWED = {"format"}


def findings(path, text):
    try:
        tree = ast.parse(text, str(path))
        compile(tree, str(path), "exec")
    except SyntaxError as error:
        yield error.lineno or 1, "does not compile: %s" % error.msg
        return
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > WIDTH_MAX:
            yield number, "the line is longer than %d characters" % WIDTH_MAX
        if line != line.rstrip() or "\t" in line:
            yield number, "white space at the end, or a tab"
    yield from unused_imports(tree, path)
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            yield node.lineno, "a bare `except` hides everything, Ctrl-C too"
        if isinstance(node, ast.FunctionDef):
            yield from function_findings(node)
        if isinstance(node, ast.Compare) and any(isinstance(op, (ast.Eq, ast.NotEq)) for op in node.ops):
            if any(isinstance(it, ast.Constant) and it.value is None for it in node.comparators):
                yield node.lineno, "compare to None with `is`"


def unused_imports(tree, path):
    if path.name == "__init__.py":
        return
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                name = (alias.asname or alias.name).split(".")[0]
                if name not in used:
                    yield node.lineno, "`%s` is imported and not used" % name


def function_findings(node):
    for default in node.args.defaults + node.args.kw_defaults:
        if isinstance(default, (ast.List, ast.Dict, ast.Set)):
            yield default.lineno, "a default that can change is shared by all calls of `%s`" % node.name
    for argument in node.args.args + node.args.kwonlyargs:
        if hasattr(builtins, argument.arg) and argument.arg not in HIDING_ALLOWED:
            yield argument.lineno, "`%s` hides a builtin" % argument.arg


def main(folders):
    paths = sorted(path for folder in folders for path in pathlib.Path(folder).rglob("*.py"))
    found = [(path, line, text) for path in paths for line, text in findings(path, path.read_text(encoding="utf-8"))]
    for path, line, text in found:
        print("%s:%d: %s" % (path, line, text))
    print("%d files, %d findings" % (len(paths), len(found)))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["shop"]))
