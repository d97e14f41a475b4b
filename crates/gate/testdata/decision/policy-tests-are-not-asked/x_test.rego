package plimsoll.x

deny contains "from a test"
