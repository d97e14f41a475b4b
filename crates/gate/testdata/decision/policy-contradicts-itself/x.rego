package plimsoll.gate

allow := true if input.actor

allow := false if input.actor
