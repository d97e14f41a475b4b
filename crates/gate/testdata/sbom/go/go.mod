module example.org/app

go 1.26

require github.com/google/uuid v1.6.0

require (
	example.org/forked v1.0.0
	example.org/local v0.0.0-00010101000000-000000000000 // indirect
)

replace example.org/forked => example.org/fork v1.0.1

replace example.org/local => ./local
