package plimsoll.team

import rego.v1

deny contains "wip" if input.commit.subject == "wip"

deny contains finding.rule if {
	some finding in input.findings
	finding.severty == "high"
	not finding.suppressed
}

deny contains "slow" if {
	every objective in input.slo {
		some burn in objective.burn
		burn.speed > 1
	}
}

deny contains "few" if {
	tests := input.evidence.tests
	tests.pased < 10
	tests.passed < 10
	input["evidence"].coverage["percentage"] < 80
	input.runs[0].workflow.name == "ci"
}

# What stands for several things, or for something that nobody knows, is not judged.
deny contains "x" if {
	thing := input.commit
	thing.sha == ""
	count([thing | thing := data.other.thing; thing.anything]) > 0
	known(input.commit)
}

known(commit) if commit.whatever

deny contains "limits" if input.limits.findings_max.hihg > 0
