package plimsoll.gate

import rego.v1

strategy := "blue-green"

warnings contains "our own gate"

violations contains {"id": "ours/actor", "message": "mallory may not ship", "evidence": "actors"} if input.actor == "mallory"
