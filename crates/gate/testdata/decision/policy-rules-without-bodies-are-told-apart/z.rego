package plimsoll.x

deny contains "d" # the last