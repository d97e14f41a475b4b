package plimsoll.x

strategy := "canary"
