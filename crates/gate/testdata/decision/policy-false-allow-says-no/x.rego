package plimsoll.gate

allow := false
