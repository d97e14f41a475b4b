package plimsoll.team

deny contains msg if {
	input.environment == "local"
	msg := "the team ships nothing to local"
}

deny contains msg if {
	not contains(input.commit.message, "fix")
	msg := "commit messages must say fix"
}

warn contains "beware"
