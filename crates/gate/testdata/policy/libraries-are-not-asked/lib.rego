package lib

allow if input.x

warn contains "x"
