package plimsoll.x

deny contains "found" if count(numbers.range(1, 99999999999)) > 1
