package plimsoll.x

import data.lib.names

deny contains "ada is on leave" if names.is_ada(input.actor)
