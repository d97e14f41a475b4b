package plimsoll.gate

deny contains msg if {
	msg := "x"
	coutn > 1
}
