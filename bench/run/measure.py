#!/usr/bin/env python3
"""The cost of running a job beside the same work done by bare bash, in one go.

    cargo build --release --workspace --bins --examples
    python3 bench/run/measure.py [path of run_workflow [path of plimsoll]]

One step `true` · 200 steps · 1,000,000 lines of 80 characters to a pipe with 50 secrets masked; and through `plimsoll run` in a
repository: one step, the same with 500 loose tags, 50 jobs, a matrix of 100, a chain of 50, the memory of each, and `act` beside it
where it is installed. Then a file of 2,000 jobs is planned.
Each pair is measured in turns, so that what else the machine does hits both alike; medians and their ratio are printed, and
beside them the time of the processors, which says what a busy machine's wall clock can't.
"""

import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

RUNNER = sys.argv[1] if len(sys.argv) > 1 else "target/release/examples/run_workflow"
PLIMSOLL = os.path.abspath(sys.argv[2] if len(sys.argv) > 2 else "target/release/plimsoll")
ACT = shutil.which("act", path=os.environ.get("PATH", "") + ":" + os.path.expanduser("~/go/bin"))
BASH = ["bash", "--noprofile", "--norc", "-eo", "pipefail"]


def workflow(steps):
    head = "on: push\njobs:\n  job:\n    runs-on: local\n    defaults: { run: { shell: bash } }\n    steps:\n"
    return head + "".join(f"      - run: {step}\n" for step in steps)


def seconds(command, drain, where=None):
    """Wall time; what it writes goes to a pipe that is read by us, or nowhere."""
    begin, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(command, stdout=subprocess.PIPE if drain else subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=where)
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
        whole(place, script)
    plan()


def plan():
    """In this process's own words; see `crates/workflow/examples/plan_speed.rs`."""
    planner = os.path.join(os.path.dirname(os.path.abspath(RUNNER)), "plan_speed")
    if os.path.exists(planner):
        print(subprocess.run([planner], stdout=subprocess.PIPE, text=True).stdout, end="")
    else:
        print(f"left out: planning 2,000 jobs, because there is no {planner}")


JOB = "    runs-on: ubuntu-latest\n    steps:\n      - run: 'true'\n"
MATRIX = "    strategy: { matrix: { a: [0,1,2,3,4,5,6,7,8,9], b: [0,1,2,3,4,5,6,7,8,9] } }\n"


def whole(place, script):
    """Through `plimsoll run`, in a repository of one commit."""
    if not os.path.exists(PLIMSOLL):
        print(f"left out: `plimsoll run`, because there is no {PLIMSOLL}")
        return
    where = os.path.join(place, "repository")
    flows = {
        "one": "  a:\n" + JOB,
        "fifty": "".join(f"  j{i}:\n" + JOB for i in range(50)),
        "matrix": "  m:\n" + MATRIX + JOB,
        "chain": "".join(f"  j{i}:\n" + (f"    needs: j{i - 1}\n" if i else "") + JOB for i in range(50)),
    }
    os.makedirs(where)
    for name, jobs in flows.items():
        with open(os.path.join(where, name + ".yml"), "w") as out:
            out.write("on: push\njobs:\n" + jobs)
    git = ["git", "-C", where, "-c", "user.name=A", "-c", "user.email=a@example.org"]
    for arguments in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "one"]):
        subprocess.run(git + arguments, check=True)
    if not ACT:
        print("left out: act, because it is not installed: `go install github.com/nektos/act@v0.2.89`")

    def run(what, name, bound, rounds):
        def act():
            flags = ["-P", "ubuntu-latest=-self-hosted", "--cache-server-addr", "127.0.0.1", "-W", f"{name}.yml"]
            return seconds([ACT, "push", *flags], False, where)[0] if ACT else 0

        pairs = [(seconds([PLIMSOLL, "run", f"{name}.yml"], False, where), act()) for _ in range(rounds)]
        wall, cpu = (statistics.median(pair[0][kind] for pair in pairs) for kind in (0, 1))
        beside = f"act {statistics.median(pair[1] for pair in pairs) * 1e3:8.1f}ms" if ACT else ""
        print(f"{what:40} {wall * 1e3:8.1f}ms cpu {cpu * 1e3:8.1f}ms {beside}   at most {bound * 1e3:.0f} ms: {'held' if wall <= bound else 'MISSED'}")
        return wall

    bare = statistics.median(seconds(BASH + [script], False)[0] for _ in range(20))
    plain = run("plimsoll run: 1 job, 1 step", "one", 0.010 + bare, 40)
    for number in range(500):
        shutil.copy(os.path.join(where, ".git/refs/heads/main"), os.path.join(where, f".git/refs/tags/v{number}"))
    tagged = run("the same with 500 loose tags", "one", plain * 1.1 + 0.001, 40)
    print(f"{'':40} {tagged / plain:.2f} x without tags")
    run("50 independent jobs", "fifty", 0.10, 15)
    run("a matrix of 100", "matrix", 0.20, 15)
    run("a chain of 50 jobs", "chain", 0.25, 15)
    for name in flows:
        peak = memory([PLIMSOLL, "run", f"{name}.yml"], where)
        print(f"{'memory, ' + name:40} {peak:8.1f}MiB   at most 30 MiB: {'held' if peak <= 30 else 'MISSED'}")


def memory(command, where):
    """The most that the process itself has had in memory, asked while it runs: what its children have is theirs."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=where)
    peak = 0
    while process.poll() is None:
        try:
            with open(f"/proc/{process.pid}/status") as status:
                peak = max([peak] + [int(line.split()[1]) for line in status if line.startswith("VmHWM")])
        except OSError:
            pass
        time.sleep(0.001)
    return peak / 1024


def show(what, ours, bare, bound, held):
    wall = f"{ours[0] * 1e3:8.1f}ms {bare[0] * 1e3:8.1f}ms {ours[0] / bare[0]:7.2f}"
    cpu = f"{ours[1] * 1e3:8.1f}ms {bare[1] * 1e3:8.1f}ms"
    print(f"{what:40} {wall}  {cpu}   {bound}: {'held' if held else 'MISSED'}")


main()
