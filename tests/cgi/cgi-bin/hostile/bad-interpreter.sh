#!/no/such/interpreter
# Its interpreter is not there. (corpus)
