package plimsoll.x

deny contains 7

deny contains {"id": "x"}

deny contains ""

warnings := "a word"

allow := "yes"

requires := input.nothing

strategy := 5
