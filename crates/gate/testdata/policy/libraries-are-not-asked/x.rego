package team["odd-name"]

deny contains "x" if data.lib.allow
