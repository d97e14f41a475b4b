package plimsoll.gate

deny contains "a" if even(4)

even(n) if n == 0

even(n) if odd(n - 1)

odd(n) if even(n - 1)

calls_even(n) if even(n)
