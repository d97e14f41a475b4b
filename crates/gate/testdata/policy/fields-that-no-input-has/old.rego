package plimsoll.old

deny[msg] {
	input.commit.subject == "wip"
	msg := "no wip"
}
