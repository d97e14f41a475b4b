package plimsoll.x

allow if not no

no if not allow

deny contains "x" if no
