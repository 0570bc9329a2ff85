"Predictions and feedback, as the first recorder made them; a database that has them already keeps them."
import sqlalchemy as sa
from alembic import op

revision, down_revision = "0001", None
branch_labels = depends_on = None


def upgrade() -> None:
    op.create_table(
        "predictions", sa.Column("number", sa.Integer, primary_key=True), sa.Column("id", sa.String(32), unique=True),
        sa.Column("time", sa.DateTime), sa.Column("model", sa.String(64)), sa.Column("text", sa.Text),
        sa.Column("label", sa.String(64)), sa.Column("probabilities", sa.JSON), sa.Column("truncated", sa.Boolean),
        sa.Column("true_label", sa.String(64)), sa.Column("variant", sa.String(64)), sa.Column("sender", sa.String(16)),
        if_not_exists=True)
    op.create_table(
        "feedback", sa.Column("number", sa.Integer, primary_key=True), sa.Column("id", sa.String(32)),
        sa.Column("time", sa.DateTime), sa.Column("label", sa.String(64)), if_not_exists=True)
    op.create_index("ix_predictions_model", "predictions", ["model"], if_not_exists=True)
    op.create_index("ix_feedback_id", "feedback", ["id"], if_not_exists=True)


def downgrade() -> None:
    op.drop_table("feedback")
    op.drop_table("predictions")
