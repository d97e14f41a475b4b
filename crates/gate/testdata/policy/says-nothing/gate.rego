package plimsoll.gate

violation contains "typo" if input.x
