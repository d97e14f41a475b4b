package plimsoll.commits_test

import data.plimsoll.commits
import rego.v1

document(environment, message) := {"environment": environment, "commit": {"message": message}}

test_conventional_messages if {
	every message in ["fix: count the tax once", "feat(cart): free delivery", "refactor!: new prices", "feat(api)!: v2"] {
		count(commits.violations) == 0 with input as document("production", message)
	}
}

test_other_messages if {
	every message in ["count the tax once", "Fix: x", "fix:x", "fix(): x", "fixes: x", ""] {
		count(commits.violations) == 1 with input as document("production", message)
	}
}

test_only_production_asks if count(commits.violations) == 0 with input as document("staging", "count the tax once")

test_a_breaking_change_warns if {
	count(commits.warnings) == 1 with input as document("staging", "feat(api)!: v2")
	count(commits.warnings) == 0 with input as document("staging", "feat(api): v1")
}
