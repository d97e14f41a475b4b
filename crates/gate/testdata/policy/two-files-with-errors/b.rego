package b

y if (
