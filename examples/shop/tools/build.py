"""Makes `dist/`: the package and its version, nothing else; the same commit always gives the same files."""

import os
import pathlib
import shutil
import sys


def main():
    dist = pathlib.Path("dist")
    shutil.rmtree(dist, ignore_errors=True)
    sources = sorted(pathlib.Path("shop").rglob("*.py"))
    for source in sources:
        target = dist / source
        target.parent.mkdir(parents=True, exist_ok=True)
        compile(source.read_text(encoding="utf-8"), str(source), "exec")
        shutil.copyfile(source, target)
    (dist / "VERSION").write_text(os.environ.get("GITHUB_SHA", "dev")[:12] + "\n", encoding="utf-8")
    count = len(sources) + 1
    if os.environ.get("GITHUB_OUTPUT"):
        with open(os.environ["GITHUB_OUTPUT"], "a", encoding="utf-8") as file:
            file.write("files=%d\n" % count)
    print("%d files in dist/" % count)
    return 0


if __name__ == "__main__":
    sys.exit(main())
