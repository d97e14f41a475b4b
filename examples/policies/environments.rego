# Stricter the closer it is to users; what is configured in plimsoll.yaml counts besides.
package plimsoll.environments

import rego.v1

high_max := {"production": 0, "staging": 5, "development": 10}

coverage_min_percent := {"production": 80, "staging": 70, "development": 60}

violations contains {"id": "environments/high-findings", "message": message, "evidence": paths(findings)} if {
	findings := input.evidence.findings
	most := high_max[input.environment]
	findings.high > most
	message := sprintf("%d high findings, at most %d may ship to %s", [findings.high, most, input.environment])
}

violations contains {"id": "environments/coverage", "message": message, "evidence": paths(coverage)} if {
	coverage := input.evidence.coverage
	least := coverage_min_percent[input.environment]
	coverage.percent < least
	message := sprintf("coverage is %v %%, at least %d %% is asked in %s", [coverage.percent, least, input.environment])
}

warnings contains {"id": "environments/unknown", "message": message} if {
	not high_max[input.environment]
	message := sprintf("nothing is asked of the environment `%s`", [input.environment])
}

paths(evidence) := [source.path | some source in evidence.sources]
