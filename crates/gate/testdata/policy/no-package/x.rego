deny contains "x"
