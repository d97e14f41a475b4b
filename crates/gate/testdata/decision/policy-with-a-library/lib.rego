package lib.names

is_ada(name) if lower(name) == "ada"
