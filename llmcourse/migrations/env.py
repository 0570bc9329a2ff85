"How Alembic takes the steps: on the connection of `llmcourse.record`, in its transaction, all of them or none."
from alembic import context

connection = context.config.attributes.get("connection")
if connection is None: raise SystemExit("open the database with llmcourse.record.Recorder: that takes every step")
context.configure(connection=connection, transactional_ddl=True)
with context.begin_transaction(): context.run_migrations()
