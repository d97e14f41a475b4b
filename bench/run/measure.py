#!/usr/bin/env python3
"""The cost of running a job beside the same work done by bare bash, in one go.

    cargo build --release -p host --example run_workflow
    python3 bench/run/measure.py [path of run_workflow]

One step `true` · 200 steps · 1,000,000 lines of 80 characters to a pipe with 50 secrets masked.
Each pair is measured in turns, so that what else the machine does hits both alike; medians and their ratio are printed, and
beside them the time of the processors, which says what a busy machine's wall clock can't.
"""

import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time

RUNNER = sys.argv[1] if len(sys.argv) > 1 else "target/release/examples/run_workflow"
BASH = ["bash", "--noprofile", "--norc", "-eo", "pipefail"]


def workflow(steps):
    head = "on: push\njobs:\n  job:\n    runs-on: local\n    defaults: { run: { shell: bash } }\n    steps:\n"
    return head + "".join(f"      - run: {step}\n" for step in steps)


def seconds(command, drain):
    """Wall time; what it writes goes to a pipe that is read by us, or nowhere."""
    begin, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(command, stdout=subprocess.PIPE if drain else subprocess.DEVNULL)
    count = 0
    while drain and (chunk := os.read(process.stdout.fileno(), 1 << 20)):
        count += len(chunk)
    assert process.wait() == 0, command
    wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, count


def compare(ours, bare, rounds, drain=False, lost=0):
    pairs = [(seconds(ours, drain), seconds(bare, drain)) for _ in range(rounds)]
    assert pairs[0][1][2] - pairs[0][0][2] == lost, "not every byte came, or not every secret was masked"
    return [[statistics.median(pair[side][kind] for pair in pairs) for kind in (0, 1)] for side in (0, 1)]


def main():
    random.seed(1)
    with tempfile.TemporaryDirectory() as place:
        def file(name, text):
            path = os.path.join(place, name)
            with open(path, "w") as out:
                out.write(text)
            return path

        script = file("true.sh", "true\n")
        loop = file("loop.sh", f"for i in $(seq 200); do {' '.join(BASH)} {script}; done\n")
        letters = "abcdefghij klmnopqrst"
        block = "".join(f"{i:08d} {''.join(random.choice(letters) for _ in range(71))}\n" for i in range(10_000))
        secrets = ["".join(random.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") for _ in range(24)) for _ in range(50)]
        rows = block.splitlines(keepends=True)
        for number, secret in enumerate(secrets):
            row = rows[number * 200]
            rows[number * 200] = row[:20] + secret + row[44:]
        lines = file("lines.txt", "".join(rows) * 100)
        masked = [part for number, secret in enumerate(secrets) for part in ("--secret", f"S{number}={secret}")]

        print(f"{'what':40} {'ours':>10} {'bare':>10} {'ratio':>7}  {'ours cpu':>10} {'bare cpu':>10}   bound")
        one = file("one.yml", workflow(["'true'"]))
        ours, bare = compare([RUNNER, one], BASH + [script], 40)
        beyond = ours[0] - bare[0]
        show("1 job, 1 step `true`", ours, bare, f"{beyond * 1e3:.1f} ms beyond bare, at most 10 ms", beyond <= 0.010)
        many = file("many.yml", workflow(["'true'"] * 200))
        ours, bare = compare([RUNNER, many], BASH + [loop], 7)
        show("200 steps in one job", ours, bare, "at most 1.35 x", ours[0] / bare[0] <= 1.35)
        flood = file("lines.yml", workflow([f"cat {lines}"]))
        ours, bare = compare([RUNNER, flood, *masked], ["cat", lines], 7, drain=True, lost=50 * 100 * (24 - len("***")))
        show("1,000,000 lines x 80, 50 secrets masked", ours, bare, "at most 0.5 s", ours[0] <= 0.5)


def show(what, ours, bare, bound, held):
    wall = f"{ours[0] * 1e3:8.1f}ms {bare[0] * 1e3:8.1f}ms {ours[0] / bare[0]:7.2f}"
    cpu = f"{ours[1] * 1e3:8.1f}ms {bare[1] * 1e3:8.1f}ms"
    print(f"{what:40} {wall}  {cpu}   {bound}: {'held' if held else 'MISSED'}")


main()
