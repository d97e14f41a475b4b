package plimsoll.gate

allow if {
	input.x ==
}
