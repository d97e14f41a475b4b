# What goes to production has a message that says what kind of change it is: `fix(cart): count the tax once`.
package plimsoll.commits

import rego.v1

kinds := ["build", "chore", "ci", "docs", "feat", "fix", "perf", "refactor", "revert", "style", "test"]

conventional if regex.match(sprintf(`^(%s)(\([^()]+\))?!?: \S`, [concat("|", kinds)]), input.commit.message)

violations contains {"id": "commits/unconventional", "message": message} if {
	input.environment == "production"
	not conventional
	message := sprintf("the commit message `%s` does not begin with a kind of change, as `fix: …`", [input.commit.message])
}

warnings contains {"id": "commits/breaking", "message": "the commit message announces a breaking change"} if {
	conventional
	regex.match(`^[a-z]+(\([^()]+\))?!:`, input.commit.message)
}
