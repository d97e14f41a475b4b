package plimsoll.gate
