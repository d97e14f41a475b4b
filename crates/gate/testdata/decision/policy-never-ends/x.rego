package plimsoll.x

deny contains "found" if {
	some a in numbers.range(1, 9999)
	some b in numbers.range(1, 9999)
	some c in numbers.range(1, 9999)
	(a * b) * c == 1.5
}
