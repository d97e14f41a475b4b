# The whole decision in one object, for those who keep their policies elsewhere and share one contract.
package plimsoll.contract

import rego.v1

decision := {
	"allow": count(violations) == 0,
	"strategy": strategy,
	"violations": violations,
	"warnings": warnings,
}

# A change of what was there may be worse; a canary tells.
default strategy := "canary"

strategy := "rolling" if input.environment == "development"

violations contains "no workflow ran for this commit" if count(input.runs) == 0

violations contains message if {
	some run in input.runs
	run.conclusion != "success"
	message := sprintf("%s ended with %s", [run.workflow, run.conclusion])
}

warnings contains message if {
	days := (time.parse_rfc3339_ns(input.time) / 1000000000) / 86400
	floor(days + 4) % 7 == 5
	message := "it is Friday"
}
