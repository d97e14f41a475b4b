package plimsoll.gate

deny contains "a" if starts_with(input.x, "a")

deny contains "b" if io.jwt.decode(input.x)

deny contains "c" if string.lower("A")
