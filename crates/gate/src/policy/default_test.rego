# The default policy's own tests: `plimsoll policy test` and `opa test` run them.
# A copy beside a policy/gate.rego of one's own is a good start.
package plimsoll.gate_test

import data.plimsoll.gate
import rego.v1

# A release of which nothing bad is known.
well := {
	"release": "release-7",
	"project": "example.org/shop",
	"environment": "production",
	"artifact": {"digest": "sha256:abababababababababababababababababababababababababababababababab", "size": 12},
	"commit": {"sha": "0123456789abcdef0123456789abcdef01234567", "message": "cart: free delivery", "author": "Ada <ada@example.org>"},
	"runs": [{"workflow": "ci.yml", "conclusion": "success"}],
	"evidence": {
		"present": ["tests", "coverage", "findings"],
		"tests": {"passed": 42, "failed": 0, "errors": 0, "skipped": 1, "failures": [], "sources": [{"path": "junit.xml"}]},
		"coverage": {"lines_covered": 90, "lines_total": 100, "percent": 90, "sources": [{"path": "coverage.xml"}]},
		"findings": {"critical": 0, "high": 0, "medium": 0, "low": 0, "secrets": 0, "suppressed": 0, "sources": [{"path": "scan.sarif"}]},
		"broken": [],
	},
	"findings": [],
	"previous": {"evidence": []},
	"time": "2026-11-20T10:00:00.000Z",
	"actor": "ada",
	"limits": {
		"coverage_min_percent": 80,
		"findings_max": {"critical": 0, "high": null, "medium": null, "low": null, "secrets": 0},
		"evidence_required": [],
	},
}

but(changes) := object.union(well, changes)

finding(kind, severity) := {
	"kind": kind,
	"severity": severity,
	"rule": "RULE",
	"message": "a message",
	"file": "a.c",
	"line": 3,
	"sources": ["scan.sarif"],
}

denied_for(id, document) if {
	not gate.allow with input as document
	some violation in gate.violations with input as document
	violation.id == id
}

warned_of(id, document) if {
	gate.allow with input as document
	some warning in gate.warnings with input as document
	warning.id == id
}

test_all_is_well if {
	gate.allow with input as well
	count(gate.violations) == 0 with input as well
	count(gate.warnings) == 0 with input as well
}

test_a_run_failed if denied_for("runs/failed", but({"runs": [{"workflow": "ci.yml", "conclusion": "failure"}]}))

test_a_run_did_not_end if denied_for("runs/failed", but({"runs": [{"workflow": "ci.yml", "conclusion": "unfinished"}]}))

test_no_run_warns if warned_of("runs/none", but({"runs": []}))

test_a_test_failed if denied_for("tests/failed", but({"evidence": {"tests": {"failed": 1}}}))

test_a_test_ended_in_an_error if denied_for("tests/failed", but({"evidence": {"tests": {"errors": 1}}}))

test_failed_tests_are_named if {
	changed := but({"evidence": {"tests": {"failed": 1, "failures": [{"name": "cart.total"}]}}})
	some violation in gate.violations with input as changed
	violation.message == "1 of 44 tests failed: cart.total"
}

test_coverage_just_below if denied_for("coverage/low", but({"evidence": {"coverage": {"percent": 79.99}}}))

test_coverage_exactly_enough if gate.allow with input as but({"evidence": {"coverage": {"percent": 80}}})

test_a_critical_finding if denied_for("findings/critical", but({
	"findings": [finding("code", "critical")],
	"evidence": {"findings": {"critical": 1}},
}))

test_a_secret_of_low_severity if denied_for("findings/secret", but({
	"findings": [finding("secret", "low")],
	"evidence": {"findings": {"secrets": 1}},
}))

test_a_critical_finding_that_nobody_counted if {
	denied_for("findings/critical", but({"findings": [finding("code", "critical")], "evidence": {"findings": {"critical": null}}}))
}

test_an_accepted_finding_warns if {
	accepted := object.union(finding("code", "critical"), {"suppressed": "known"})
	warned_of("findings/suppressed", but({"findings": [accepted], "evidence": {"findings": {"suppressed": 1}}}))
}

test_high_findings_are_not_limited if gate.allow with input as but({"evidence": {"findings": {"high": 1000}}})

test_more_high_findings_than_may_ship if {
	limits := {"limits": {"findings_max": {"high": 5}}}
	denied_for("findings/too-many", object.union(but({"evidence": {"findings": {"high": 6}}}), limits))
	gate.allow with input as object.union(but({"evidence": {"findings": {"high": 5}}}), limits)
}

test_broken_evidence if denied_for("evidence/broken", but({"evidence": {"broken": [{"path": "junit.xml", "reason": "ends too early", "line": 3}]}}))

test_absent_evidence_warns if warned_of("evidence/absent", but({"evidence": {"present": ["tests", "coverage"]}}))

test_absent_evidence_that_is_required if {
	denied_for("evidence/absent", but({"evidence": {"present": ["tests", "coverage"]}, "limits": {"evidence_required": ["findings"]}}))
}

test_absent_evidence_that_the_last_release_had if {
	denied_for("evidence/absent", but({"evidence": {"present": ["tests", "coverage"]}, "previous": {"evidence": ["findings"]}}))
}

promised(status) := object.union(well, {
	"slo": [object.union({"name": "availability", "target_percent": 99.5, "window": "30d"}, status)],
	"limits": {"slo": {"unknown": "hold", "budget_min_percent": 0}},
})

burning(severity) := {"budget_left_percent": 50, "burn": [{
	"severity": severity,
	"factor": 6,
	"long": "6h",
	"short": "30m",
	"long_rate": 7.5,
	"short_rate": 8,
	"fires": true,
}]}

test_a_budget_that_lasts if {
	gate.allow with input as promised({"budget_left_percent": 0.01})
	count(gate.warnings) == 0 with input as promised({"budget_left_percent": 0.01})
}

test_a_budget_that_is_used_up if denied_for("slo/budget", promised({"budget_left_percent": 0}))

test_a_budget_below_what_is_asked if {
	denied_for("slo/budget", object.union(promised({"budget_left_percent": 20}), {"limits": {"slo": {"budget_min_percent": 20}}}))
}

test_a_budget_that_burns_fast if denied_for("slo/burning", promised(burning("page")))

test_a_budget_that_burns_slowly if warned_of("slo/burning", promised(burning("ticket")))

test_a_budget_that_nobody_knows if {
	warned_of("slo/unknown", promised({"unknown": "it is down"}))
	denied_for("slo/unknown", object.union(promised({"unknown": "it is down"}), {"limits": {"slo": {"unknown": "deny"}}}))
}

test_too_few_events_warn if warned_of("slo/few-events", promised({"too_few_events": true}))

test_no_open_incident if {
	gate.allow with input as but({"incidents": []})
	count(gate.warnings) == 0 with input as but({"incidents": []})
}

test_an_open_incident if {
	incident := {"id": "INC-7", "title": "the shop is down", "priority": "P1", "url": "https://example.org/7"}
	denied_for("incidents/open", but({"incidents": [incident]}))
	some violation in gate.violations with input as but({"incidents": [incident]})
	violation.message == "P1 incident INC-7 is open: the shop is down"
	violation.evidence == ["https://example.org/7"]
}

test_an_open_incident_without_a_page if {
	denied_for("incidents/open", but({"incidents": [{"id": "INC-7", "title": "the shop is down", "priority": "P1"}]}))
}

nobody_knows(answer) := object.union(well, {
	"incidents_unknown": "it is down",
	"limits": {"incidents": {"unknown": answer, "priorities": ["P1"]}},
})

test_incidents_that_nobody_knows if {
	warned_of("incidents/unknown", nobody_knows("hold"))
	denied_for("incidents/unknown", nobody_knows("deny"))
}

test_a_check_that_passed if gate.allow with input as but({"checks": [{"name": "capacity", "passed": true}]})

test_a_check_that_failed if {
	failed := but({"checks": [{"name": "capacity", "passed": false, "reason": "2 nodes of 3"}]})
	denied_for("checks/failed", failed)
	some violation in gate.violations with input as failed
	violation.message == "the check `capacity` failed: 2 nodes of 3"
}

test_a_check_that_failed_and_does_not_say_why if denied_for("checks/failed", but({"checks": [{"name": "capacity", "passed": false}]}))

# Where it comes from, and who answers for it

asked(limits) := but({"limits": object.union(well.limits, limits)})

test_a_build_that_nobody_can_believe_enough_is_denied if {
	low := object.union(asked({"provenance_min": 3}), {"provenance": {"level": 2, "builder": "b", "because": ["the job `build` runs on the machine itself"]}})
	denied_for("provenance/low", low)
	some violation in gate.violations with input as low
	violation.message == "the build is at level 2 of SLSA, at least 3 is asked: the job `build` runs on the machine itself"
	denied_for("provenance/absent", asked({"provenance_min": 1}))
	gate.allow with input as object.union(asked({"provenance_min": 2}), {"provenance": {"level": 2, "builder": "b"}})
	gate.allow with input as but({"provenance": {"level": 1, "builder": "b"}})
}

test_what_must_be_signed_and_is_not_is_denied if {
	denied_for("signature/absent", asked({"signed": true}))
	denied_for("signature/absent", object.union(asked({"signed": true}), {"signature_unknown": "the key is lost"}))
	gate.allow with input as object.union(asked({"signed": true}), {"signature": {"key": "sha256:ab"}})
	gate.allow with input as but({"signature_unknown": "the key is lost"})
}

test_what_is_signed_by_nobody_who_is_trusted_is_denied_where_keys_are_named if {
	signed := {"source": "build.intoto.jsonl", "type": "https://slsa.dev/provenance/v1", "subjects": [], "trusted": false, "because": "nobody knows the key"}
	denied_for("attestation/untrusted", object.union(asked({"keys": ["ci"]}), {"attestations": [signed]}))
	warned_of("attestation/untrusted", but({"attestations": [signed]}))
	gate.allow with input as object.union(asked({"keys": ["ci"]}), {"attestations": [object.union(signed, {"trusted": true})]})
}

# Of a benchmark that takes 125 ms where it took 100.
timed(change) := object.union(well, {"evidence": {"benchmarks": [object.union(
	{
		"name": "total",
		"ns": 125000000,
		"average": "mean",
		"baseline_ns": 100000000,
		"change_percent": 25,
		"source": {"path": "hyperfine.json"},
	},
	change,
)]}})

at_most(percent, document) := object.union(document, {"limits": {"benchmarks": {"regression_threshold_percent": percent}}})

test_a_slower_benchmark_warns if {
	warned_of("benchmarks/slower", timed({}))
	some warning in gate.warnings with input as timed({})
	warning.message == "benchmark `total` is 25 % slower than in the last release: 125 ms, 100 ms before"
	warning.evidence == ["hyperfine.json"]
}

test_a_slower_benchmark_denies_where_a_threshold_is_set if {
	denied_for("benchmarks/slower", at_most(10, timed({})))
	gate.allow with input as at_most(25, timed({}))
	count(gate.warnings) == 0 with input as at_most(25, timed({}))
}

test_a_benchmark_that_is_slower_within_its_spread if {
	every spread in [{"spread_ns": 25000000}, {"baseline_spread_ns": 30000000}] {
		gate.allow with input as at_most(10, timed(spread))
		count(gate.warnings) == 0 with input as timed(spread)
	}
	denied_for("benchmarks/slower", at_most(10, timed({"spread_ns": 24000000, "baseline_spread_ns": 24000000})))
}

test_a_benchmark_that_is_a_little_slower_or_faster if {
	every change in [10, 0, -50] {
		count(gate.warnings) == 0 with input as timed({"change_percent": change})
	}
}

test_a_benchmark_without_a_baseline if {
	alone := object.union(well, {"evidence": {"benchmarks": [{"name": "total", "ns": 1, "average": "mean", "source": {"path": "a"}}]}})
	gate.allow with input as at_most(10, alone)
	count(gate.warnings) == 0 with input as at_most(10, alone)
}

test_a_benchmark_that_the_last_release_had if {
	before := object.union(timed({}), {"previous": {"benchmarks": [{"name": "total", "ns": 125000000}, {"name": "tax", "ns": 3}]}})
	warned_of("benchmarks/gone", before)
	some warning in gate.warnings with input as before
	warning.message == "1 benchmark is missing that the last release had: tax"
}

test_benchmarks_and_bills_are_asked_for_only_where_they_are_made if {
	every kind in ["benchmarks", "sbom"] {
		denied_for("evidence/absent", but({"limits": {"evidence_required": [kind]}}))
		denied_for("evidence/absent", but({"previous": {"evidence": [kind]}}))
	}
}

brought(commits) := object.union(well, {
	"commits": commits,
	"change": {"since": "89abcdef", "breaking": false, "step": "patch"},
	"limits": {"commits": {}},
})

good := {"sha": "0123456789", "subject": "fix: x", "author": "ana", "type": "fix"}

bad := {"sha": "89abcdef01", "subject": "wip", "author": "ana", "wrong": "it has no type"}

test_commits_that_keep_the_rules if {
	gate.allow with input as brought([good])
	count(gate.warnings) == 0 with input as brought([good])
}

test_a_commit_against_the_rules if {
	denied_for("commits/rules", brought([good, bad]))
	some violation in gate.violations with input as brought([good, bad])
	violation.message == "commit 89abcde \"wip\" is against the commit rules: it has no type"
}

test_without_rules_no_commit_is_against_them if {
	gate.allow with input as but({"commits": [bad], "change": {"breaking": false, "step": "unknown"}})
}

test_of_many_commits_the_first_are_named if {
	many := [object.union(bad, {"sha": sprintf("%07d", [at])}) | some at in numbers.range(1, 25)]
	count(gate.violations) == 21 with input as brought(many)
	some violation in gate.violations with input as brought(many)
	violation.message == "25 of 25 commits are against the commit rules"
}

test_commits_that_nobody_read if {
	warned_of("commits/unread", object.union(brought([good]), {"change": {"unread": "the history is cut off"}}))
}

test_the_first_release_of_all if {
	first := object.union(but({"commits": [good], "change": {"breaking": false, "step": "patch"}}), {"limits": {"commits": {}}})
	warned_of("commits/first", first)
}

on_branch(changes) := but({"protection": object.union({
	"branch": "main",
	"protected": true,
	"required_checks": [{"name": "build", "state": "passed"}],
}, changes)})

test_a_protected_branch_whose_checks_have_passed if {
	gate.allow with input as on_branch({})
	count(gate.warnings) == 0 with input as on_branch({})
}

test_a_branch_that_is_not_protected if denied_for("protection/branch", on_branch({"protected": false}))

test_a_branch_that_requires_too_few_reviews if {
	denied_for("protection/reviews", on_branch({"reviews": {"required": 1, "asked": 2}}))
	gate.allow with input as on_branch({"reviews": {"required": 2, "asked": 2}})
}

test_what_is_not_on_its_branch if {
	elsewhere := on_branch({"absent": "it was never pushed", "required_checks": [{"name": "build", "state": "absent"}]})
	denied_for("protection/absent", elsewhere)
	count(gate.violations) == 1 with input as elsewhere
}

test_required_checks_that_have_not_passed if {
	every state in ["pending", "failed", "absent"] {
		denied_for("protection/checks", on_branch({"required_checks": [{"name": "build", "state": state}]}))
	}
}

test_a_branch_that_requires_nothing if warned_of("protection/no-checks", on_branch({"required_checks": []}))

unknown_branch(answer) := object.union(well, {
	"protection_unknown": "it is down",
	"limits": {"protection": {"unknown": answer}},
})

test_a_branch_that_nobody_knows if {
	warned_of("protection/unknown", unknown_branch("hold"))
	denied_for("protection/unknown", unknown_branch("deny"))
}
