package plimsoll.c

deny contains "fine"
