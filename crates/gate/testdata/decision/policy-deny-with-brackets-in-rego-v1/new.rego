package plimsoll.x

deny[msg] if {
  msg := "said"
}
