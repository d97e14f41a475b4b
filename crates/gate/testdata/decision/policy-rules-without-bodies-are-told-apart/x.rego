package plimsoll.x

deny contains "a"

# the second
deny contains "b"

default allow := true

deny contains `c`
