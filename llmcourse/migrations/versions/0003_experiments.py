"What an experiment must not forget, stops and counts of answers; and an index to the latest rows with feedback."
import sqlalchemy as sa
from alembic import op

revision, down_revision = "0003", "0002"
branch_labels = depends_on = None


def upgrade() -> None:
    op.create_table(                                   # a server with A/B tests made this one itself, without a step
        "experiment_stops", sa.Column("experiment", sa.String(200)), sa.Column("time", sa.DateTime),
        sa.Column("variant", sa.String(64)), sa.Column("reason", sa.Text), if_not_exists=True)
    op.create_table(
        "experiment_answers", sa.Column("experiment", sa.String(200), primary_key=True),
        sa.Column("variant", sa.String(64), primary_key=True), sa.Column("answers", sa.Integer, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False))
    told = sa.text("true_label is not null")
    op.create_index("ix_predictions_told", "predictions", ["number"], sqlite_where=told, postgresql_where=told)


def downgrade() -> None:
    op.drop_index("ix_predictions_told", "predictions")
    op.drop_table("experiment_answers")
    op.drop_table("experiment_stops")
