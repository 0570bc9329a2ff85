"The steps that bring a database of predictions to its present form, for Alembic; `llmcourse.record` takes them."
