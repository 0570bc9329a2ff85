"Senders hashed with a key, the rule that decided, and an index to delete by age and by sender."
import hashlib
import hmac

import sqlalchemy as sa
from alembic import context, op

revision, down_revision = "0002", "0001"
branch_labels = depends_on = None


def upgrade() -> None:
    op.add_column("predictions", sa.Column("decided_by", sa.Text))
    op.create_index("ix_predictions_time", "predictions", ["time"])
    op.create_index("ix_predictions_sender", "predictions", ["sender"])
    key, base = context.config.attributes["key"], op.get_bind()
    known = base.execute(sa.text("select distinct sender from predictions where sender is not null")).scalars().all()
    keyed = [{"old": old, "new": hmac.new(key, old.encode(), hashlib.sha256).hexdigest()[:16]} for old in known]
    change = sa.text("update predictions set sender = :new where sender = :old")
    if keyed: base.execute(change, keyed)


def downgrade() -> None:        # the hashes stay keyed: what they were is not to be found again
    op.drop_index("ix_predictions_sender", "predictions")
    op.drop_index("ix_predictions_time", "predictions")
    op.drop_column("predictions", "decided_by")
