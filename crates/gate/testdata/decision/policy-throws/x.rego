package plimsoll.x

deny contains "never" if {
	to_number(input.actor) > 3
}
