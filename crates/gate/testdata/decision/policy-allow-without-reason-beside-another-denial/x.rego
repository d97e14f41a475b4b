package plimsoll.x

allow if input.actor == "bob"
