package plimsoll.gate

test_it if true

deny contains "from a test"
