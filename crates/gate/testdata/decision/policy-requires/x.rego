package plimsoll.x

requires contains "tests"

requires contains "coverage"

requires contains "approval:lead"
