"""Findings of `plimsoll lint` and of zizmor over the same files, matched by file, audit and line.

usage: compare.py PLIMSOLL ZIZMOR FOLDER PERSONA
"""

import collections
import json
import os
import subprocess
import sys

# What zizmor doesn't have, can't tell without a network, or needs a configuration for.
OURS_ALONE = {
    "constant-condition",
    "deprecated-commands",
    "duplicate-matrix-values",
    "forbidden-uses",
    "frequent-schedule",
    "hardcoded-secrets",
    "known-vulnerable-actions",
    "ref-version-mismatch",
    "shell-name",
}

# Below this the two don't mean the same any more.
LEAST = 0.95


def files(folder):
    found = []
    for directory, _, names in os.walk(folder):
        found += [os.path.join(directory, name) for name in names if name.endswith((".yml", ".yaml"))]
    return sorted(found)


def of_plimsoll(program, paths, persona, folder):
    command = [program, "lint", "--json", "--persona", persona, *paths]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    if done.returncode not in (0, 2, 10):
        sys.exit(f"plimsoll ended with {done.returncode}: {done.stderr}")
    for finding in json.loads(done.stdout):
        if "severity" in finding:
            places = [finding["place"], *(label["place"] for label in finding["labels"])]
            path = os.path.join(folder, finding["file"])
            yield path, finding["code"], [place["line"] for place in places]


def of_zizmor(program, paths, persona):
    command = [program, "--offline", "--no-config", "--no-progress", "--no-exit-codes", "--format", "json", "--persona", persona, *paths]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"zizmor ended with {done.returncode}: {done.stderr}")
    for finding in json.loads(done.stdout):
        if finding["ignored"]:
            continue
        locations = [it for it in finding["locations"] if it["symbolic"]["kind"] == "Primary"] or finding["locations"]
        points = [it["concrete"]["location"] for it in locations]
        lines = [(it["start_point"]["row"] + 1, it["end_point"]["row"] + 1) for it in points]
        key = locations[0]["symbolic"]["key"]
        local = key.get("Local", {}) if isinstance(key, dict) else {}
        path = local.get("verbatim_path") or local.get("given_path") or folder
        yield path, finding["ident"], lines


def main():
    plimsoll, zizmor, folder, persona = sys.argv[1:]
    paths = files(folder)
    ours = [it for it in of_plimsoll(plimsoll, paths, persona, folder) if it[1] not in OURS_ALONE]
    theirs = list(of_zizmor(zizmor, paths, persona))
    counts = collections.defaultdict(lambda: [0, 0, 0])
    matched = set()
    apart = []
    for path, audit, lines in theirs:
        same = (
            at
            for at, (own_path, own_audit, own_lines) in enumerate(ours)
            if at not in matched and (own_path, own_audit) == (path, audit) and any(first <= line <= last for first, last in lines for line in own_lines)
        )
        at = next(same, None)
        if at is None:
            counts[audit][1] += 1
            apart.append(f"only zizmor   {audit} {os.path.relpath(path, folder)}:{lines[0][0]}")
        else:
            matched.add(at)
            counts[audit][0] += 1
    for at, (path, audit, lines) in enumerate(ours):
        if at not in matched:
            counts[audit][2] += 1
            apart.append(f"only plimsoll {audit} {os.path.relpath(path, folder)}:{lines[0]}")
    print(f"{'audit':34} {'both':>5} {'only zizmor':>12} {'only plimsoll':>14}")
    for audit, (both, missed, extra) in sorted(counts.items()):
        print(f"{audit:34} {both:5} {missed:12} {extra:14}")
    both, missed, extra = (sum(count[at] for count in counts.values()) for at in range(3))
    precision, recall = both / max(both + extra, 1), both / max(both + missed, 1)
    print(f"{'all':34} {both:5} {missed:12} {extra:14}   precision {precision:.3f}, recall {recall:.3f}, {len(paths)} files, persona {persona}")
    print("\n".join(apart))
    if min(precision, recall) < LEAST:
        sys.exit(f"less than {LEAST} agreement")


main()
