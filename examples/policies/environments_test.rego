package plimsoll.environments_test

import data.plimsoll.environments
import rego.v1

document(environment, high, percent) := {
	"environment": environment,
	"evidence": {
		"findings": {"high": high, "sources": [{"path": "scan.sarif"}]},
		"coverage": {"percent": percent, "sources": [{"path": "coverage.xml"}]},
	},
}

ids(violations) := {violation.id | some violation in violations}

test_limits if {
	cases := [
		["production", 0, 80, set()],
		["production", 1, 80, {"environments/high-findings"}],
		["production", 0, 79.9, {"environments/coverage"}],
		["staging", 5, 70, set()],
		["staging", 6, 69, {"environments/high-findings", "environments/coverage"}],
		["development", 10, 60, set()],
		["development", 11, 60, {"environments/high-findings"}],
		["local", 99, 1, set()],
	]
	every case in cases {
		ids(environments.violations) == case[3] with input as document(case[0], case[1], case[2])
	}
}

test_an_unknown_environment_warns if {
	ids(environments.warnings) == {"environments/unknown"} with input as document("local", 0, 80)
	ids(environments.warnings) == set() with input as document("production", 0, 80)
}
