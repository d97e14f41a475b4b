package plimsoll.contract_test

import data.plimsoll.contract
import rego.v1

document(environment, conclusions, now) := {
	"environment": environment,
	"runs": [{"workflow": "ci.yml", "conclusion": conclusion} | some conclusion in conclusions],
	"time": now,
}

thursday := "2026-11-26T10:00:00.000Z"

test_all_is_well if {
	expected := {"allow": true, "strategy": "canary", "violations": set(), "warnings": set()}
	contract.decision == expected with input as document("production", ["success"], thursday)
}

test_development_rolls if contract.decision.strategy == "rolling" with input as document("development", ["success"], thursday)

test_a_run_failed if {
	decision := contract.decision with input as document("production", ["success", "failure"], thursday)
	decision.allow == false
	decision.violations == {"ci.yml ended with failure"}
}

test_no_run if contract.decision.allow == false with input as document("production", [], thursday)

test_friday_warns if {
	contract.decision.warnings == {"it is Friday"} with input as document("production", ["success"], "2026-11-27T23:59:59Z")
	contract.decision.warnings == set() with input as document("production", ["success"], "2026-11-28T00:00:00Z")
}
