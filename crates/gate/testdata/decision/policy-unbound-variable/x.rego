package plimsoll.x

deny contains msg if input.actor
