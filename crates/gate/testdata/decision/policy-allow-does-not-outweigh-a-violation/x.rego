package plimsoll.gate

allow := true

deny contains "no"
