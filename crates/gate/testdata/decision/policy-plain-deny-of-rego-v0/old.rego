package main

deny[msg] {
  input.artifact.size > 10000
  msg := sprintf("the artifact is too large: %d", [input.artifact.size])
}
