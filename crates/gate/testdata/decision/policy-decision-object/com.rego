package companyos.release

import rego.v1

default allow := false

decision := {"allow": allow, "strategy": "canary", "violations": violations, "warnings": []}

violations contains "the error budget is spent" if input.actor == "ada"
