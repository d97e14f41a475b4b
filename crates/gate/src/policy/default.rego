# The policy that decides when a repository says nothing else.
# Copy it to policy/gate.rego to change it: a repository's own `package plimsoll.gate` takes its place.
# `input` is described by docs/schema/gate-input.json.
package plimsoll.gate

import rego.v1

default allow := false

allow if count(violations) == 0

# Runs

violations contains {"id": "runs/failed", "message": message, "evidence": [run.workflow]} if {
	some run in input.runs
	run.conclusion != "success"
	message := sprintf("workflow %s ended with %s", [run.workflow, run.conclusion])
}

warnings contains {"id": "runs/none", "message": "no workflow ran for this commit"} if count(input.runs) == 0

# Tests

violations contains {"id": "tests/failed", "message": message, "evidence": paths(tests)} if {
	tests := input.evidence.tests
	failed := tests.failed + tests.errors
	failed > 0
	total := failed + tests.passed + tests.skipped
	message := sprintf("%d of %s failed%s", [failed, counted(total, "test"), named(tests.failures, failed)])
}

# Coverage

violations contains {"id": "coverage/low", "message": message, "evidence": paths(coverage)} if {
	coverage := input.evidence.coverage
	coverage.percent < input.limits.coverage_min_percent
	message := sprintf("coverage is %v %%, at least %v %% is asked", [coverage.percent, input.limits.coverage_min_percent])
}

# Findings of scanners

violations contains {"id": "findings/secret", "message": message, "evidence": finding.sources} if {
	input.limits.findings_max.secrets == 0
	not none_of("secrets")
	some finding in input.findings
	finding.kind == "secret"
	not finding.suppressed
	message := sprintf("secret found: %s%s", [finding.rule, at(finding)])
}

violations contains {"id": "findings/critical", "message": message, "evidence": finding.sources} if {
	input.limits.findings_max.critical == 0
	not none_of("critical")
	some finding in input.findings
	finding.severity == "critical"
	finding.kind != "secret"
	not finding.suppressed
	message := sprintf("critical finding: %s%s%s", [finding.rule, at(finding), told(finding)])
}

violations contains {"id": "findings/too-many", "message": message, "evidence": paths(findings)} if {
	findings := input.evidence.findings
	some severity, most in input.limits.findings_max
	most != null
	not listed_one_by_one(severity, most)
	findings[severity] > most
	message := sprintf("%s, at most %d may ship", [found(findings[severity], severity), most])
}

warnings contains {"id": "findings/suppressed", "message": message, "evidence": paths(findings)} if {
	findings := input.evidence.findings
	findings.suppressed > 0
	message := sprintf("%s accepted by a suppression", [counted_are(findings.suppressed, "finding")])
}

# Evidence that can't be read, and evidence that isn't there

violations contains {"id": "evidence/broken", "message": message, "evidence": place(broken)} if {
	some broken in input.evidence.broken
	message := sprintf("evidence can't be trusted: %s %s", [broken.path, broken.reason])
}

violations contains {"id": "evidence/absent", "message": message} if {
	some kind in absent
	kind in input.limits.evidence_required
	message := sprintf("there is no evidence of %s, which is required", [subject[kind]])
}

violations contains {"id": "evidence/absent", "message": message} if {
	some kind in absent
	not kind in input.limits.evidence_required
	kind in input.previous.evidence
	message := sprintf("there is no evidence of %s, which the last release had", [subject[kind]])
}

warnings contains {"id": "evidence/absent", "message": message} if {
	some kind in absent - where_it_is_made
	not kind in input.limits.evidence_required
	not kind in input.previous.evidence
	message := sprintf("there is no evidence of %s", [subject[kind]])
}

# Where it comes from, and who answers for it

violations contains {"id": "provenance/low", "message": message} if {
	least := input.limits.provenance_min
	provenance := input.provenance
	provenance.level < least
	message := sprintf("the build is at level %d of SLSA, at least %d is asked: %s", [provenance.level, least, concat("; ", provenance.because)])
}

violations contains {"id": "provenance/absent", "message": message} if {
	least := input.limits.provenance_min
	not input.provenance
	message := sprintf("nobody knows where the artifact comes from, at least level %d of SLSA is asked", [least])
}

violations contains {"id": "attestation/untrusted", "message": message, "evidence": [attestation.source]} if {
	input.limits.keys
	some attestation in input.attestations
	not attestation.trusted
	message := sprintf("what is signed in %s is not believed: %s", [attestation.source, attestation.because])
}

warnings contains {"id": "attestation/untrusted", "message": message} if {
	not input.limits.keys
	some attestation in input.attestations
	message := sprintf("%s is signed, and no key is trusted that could tell by whom", [attestation.source])
}

violations contains {"id": "signature/absent", "message": message} if {
	input.limits.signed
	not input.signature
	message := sprintf("what ships must be signed, and can't be: %s", [object.get(input, "signature_unknown", "nobody was asked")])
}

# Error budgets

violations contains {"id": "slo/burning", "message": message} if {
	some objective in input.slo
	some burn in objective.burn
	burn.fires
	burn.severity == "page"
	message := sprintf("the error budget of %s burns %s", [objective.name, speed(burn)])
}

violations contains {"id": "slo/budget", "message": message} if {
	some objective in input.slo
	least := input.limits.slo.budget_min_percent
	objective.budget_left_percent <= least
	message := sprintf("of the error budget of %s %v %% is left, more than %v %% is asked", [objective.name, objective.budget_left_percent, least])
}

violations contains {"id": "slo/unknown", "message": message} if {
	some objective in input.slo
	input.limits.slo.unknown == "deny"
	message := sprintf("nobody knows what is left of the error budget of %s: %s", [objective.name, objective.unknown])
}

warnings contains {"id": "slo/unknown", "message": message} if {
	some objective in input.slo
	input.limits.slo.unknown != "deny"
	message := sprintf("nobody knows what is left of the error budget of %s: %s", [objective.name, objective.unknown])
}

warnings contains {"id": "slo/burning", "message": message} if {
	some objective in input.slo
	some burn in objective.burn
	burn.fires
	burn.severity == "ticket"
	message := sprintf("the error budget of %s burns %s", [objective.name, speed(burn)])
}

warnings contains {"id": "slo/few-events", "message": message} if {
	some objective in input.slo
	objective.too_few_events
	message := sprintf("there were too few events over %s to judge %s", [objective.window, objective.name])
}

# Incidents and checks

violations contains {"id": "incidents/open", "message": message, "evidence": links(incident)} if {
	some incident in input.incidents
	message := sprintf("%s incident %s is open: %s", [incident.priority, incident.id, incident.title])
}

violations contains {"id": "incidents/unknown", "message": message} if {
	input.limits.incidents.unknown == "deny"
	message := sprintf("nobody knows which incidents are open: %s", [input.incidents_unknown])
}

warnings contains {"id": "incidents/unknown", "message": message} if {
	input.limits.incidents.unknown != "deny"
	message := sprintf("nobody knows which incidents are open: %s", [input.incidents_unknown])
}

violations contains {"id": "checks/failed", "message": message} if {
	some check in input.checks
	not check.passed
	message := sprintf("the check `%s` failed: %s", [check.name, object.get(check, "reason", "nobody knows why")])
}

# Benchmarks

violations contains {"id": "benchmarks/slower", "message": message, "evidence": [benchmark.source.path]} if {
	most := input.limits.benchmarks.regression_threshold_percent
	some benchmark in input.evidence.benchmarks
	is_slower(benchmark, most)
	message := sprintf("%s; %v %% may ship", [slower(benchmark), most])
}

warnings contains {"id": "benchmarks/slower", "message": message, "evidence": [benchmark.source.path]} if {
	not input.limits.benchmarks
	some benchmark in input.evidence.benchmarks
	is_slower(benchmark, 10)
	message := slower(benchmark)
}

warnings contains {"id": "benchmarks/gone", "message": message} if {
	gone := [before.name | some before in input.previous.benchmarks; not before.name in measured]
	count(gone) > 0
	message := sprintf("%s missing that the last release had%s", [counted_are(count(gone), "benchmark"), first_of(gone, count(gone))])
}

# The branch

violations contains {"id": "protection/branch", "message": message} if {
	not input.protection.protected
	message := sprintf("branch %s is not protected", [input.protection.branch])
}

violations contains {"id": "protection/reviews", "message": message} if {
	reviews := input.protection.reviews
	reviews.required < reviews.asked
	message := sprintf("branch %s requires %s, at least %d is asked", [input.protection.branch, counted(reviews.required, "review"), reviews.asked])
}

violations contains {"id": "protection/absent", "message": message} if {
	message := sprintf("what ships is not on branch %s: %s", [input.protection.branch, input.protection.absent])
}

violations contains {"id": "protection/checks", "message": message} if {
	not input.protection.absent
	some check in input.protection.required_checks
	state := {"pending": "has not ended", "failed": "has failed", "absent": "has not run for this commit"}[check.state]
	message := sprintf("the required check `%s` %s", [check.name, state])
}

violations contains {"id": "protection/unknown", "message": message} if {
	input.limits.protection.unknown == "deny"
	message := sprintf("nobody knows how the branch is protected: %s", [input.protection_unknown])
}

warnings contains {"id": "protection/unknown", "message": message} if {
	input.limits.protection.unknown != "deny"
	message := sprintf("nobody knows how the branch is protected: %s", [input.protection_unknown])
}

warnings contains {"id": "protection/no-checks", "message": message} if {
	count(input.protection.required_checks) == 0
	message := sprintf("branch %s requires no check", [input.protection.branch])
}

# Commits

# Each is a reason; of many the first are named, and how many there are.
violations contains {"id": "commits/rules", "message": message} if {
	some nth, commit in against_the_rules(input.commits)
	nth < 20
	message := sprintf("commit %s \"%s\" is against the commit rules: %s", [substring(commit.sha, 0, 7), commit.subject, commit.wrong])
}

violations contains {"id": "commits/rules", "message": message} if {
	wrong := count(against_the_rules(input.commits))
	wrong > 20
	message := sprintf("%d of %d commits are against the commit rules", [wrong, count(input.commits)])
}

warnings contains {"id": "commits/unread", "message": message} if {
	input.limits.commits
	message := sprintf("not all commits that this brings are read: %s", [input.change.unread])
}

warnings contains {"id": "commits/first", "message": "nothing was live before, so of its commits only the one that ships is read"} if {
	input.limits.commits
	input.change
	not input.change.since
	not input.change.unread
}

# Words

speed(burn) := sprintf("%v times as fast as it lasts, over %s, and %v times over %s; %v is the limit", [burn.long_rate, burn.long, burn.short_rate, burn.short, burn.factor])

subject := {
	"tests": "tests (JUnit)",
	"coverage": "coverage (Cobertura or LCOV)",
	"findings": "a security scan (SARIF)",
	"benchmarks": "benchmarks",
	"sbom": "a bill of materials",
}

# Most projects have none, and need not be told so at every release.
where_it_is_made := {"benchmarks", "sbom"}

# A function, so that what others see of this package stays what decides.
against_the_rules(commits) := [commit |
	input.limits.commits
	some commit in commits
	commit.wrong
]

absent contains kind if {
	some kind, _ in subject
	not kind in input.evidence.present
}

# Of ten thousand findings none has to be looked at for what was counted already, and isn't there.
none_of(what) if input.evidence.findings[what] == 0

listed_one_by_one(severity, most) if {
	severity in {"critical", "secrets"}
	most == 0
}

paths(evidence) := [source.path | some source in evidence.sources]

links(incident) := [incident.url] if {
	incident.url
} else := []

place(broken) := [sprintf("%s:%d", [broken.path, broken.line])] if {
	broken.line
} else := [broken.path]

at(finding) := sprintf(" at %s:%d", [finding.file, finding.line]) if {
	finding.file
	finding.line
} else := sprintf(" in %s", [finding.file]) if {
	finding.file
} else := ""

told(finding) := "" if {
	finding.message == ""
} else := sprintf(", %s", [finding.message])

counted(1, thing) := sprintf("1 %s", [thing])

counted(number, thing) := sprintf("%d %ss", [number, thing]) if number != 1

counted_are(1, thing) := sprintf("1 %s is", [thing])

counted_are(number, thing) := sprintf("%d %ss are", [number, thing]) if number != 1

found(number, "secrets") := counted(number, "secret")

found(number, severity) := counted(number, sprintf("%s finding", [severity])) if severity != "secrets"

named(failures, failed) := first_of([failure.name | some failure in failures], failed)

# The first five by name, of so many.
first_of(names, all) := "" if {
	count(names) == 0
} else := sprintf(": %s", [concat(", ", names)]) if {
	all <= 5
} else := sprintf(": %s and %d more", [concat(", ", first), all - count(first)]) if {
	first := [names[i] | some i in numbers.range(0, min([4, count(names) - 1]))]
}

measured := {benchmark.name | some benchmark in input.evidence.benchmarks}

# By more than either measurement goes up and down by itself, as far as that is known.
is_slower(benchmark, percent) if {
	benchmark.change_percent > percent
	difference := benchmark.ns - benchmark.baseline_ns
	difference > object.get(benchmark, "spread_ns", 0)
	difference > object.get(benchmark, "baseline_spread_ns", 0)
}

slower(benchmark) := sprintf("benchmark `%s` is %v %% slower than in the last release: %s, %s before", [benchmark.name, benchmark.change_percent, took(benchmark.ns), took(benchmark.baseline_ns)])

took(ns) := sprintf("%v ns", [tenths(ns)]) if {
	ns < 1000
} else := sprintf("%v µs", [tenths(ns / 1000)]) if {
	ns < 1000000
} else := sprintf("%v ms", [tenths(ns / 1000000)]) if {
	ns < 1000000000
} else := sprintf("%v s", [tenths(ns / 1000000000)])

tenths(number) := round(number * 10) / 10
