"Exercises and questions, one module a lesson: the one source of empty cells, checks, hints and solutions."
