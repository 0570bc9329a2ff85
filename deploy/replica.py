"""One replica of the watched server, told everything by its environment: what containers and services start.

LLMCOURSE_MODEL     the checkpoint folder (default /model)
LLMCOURSE_DATABASE  where answers are recorded: an SQLAlchemy address or a file (default /state/record.db)
LLMCOURSE_HOST      where to listen (default 0.0.0.0: a container is reached from outside itself)
LLMCOURSE_PORT      (default 8000)
LLMCOURSE_FORCE     1: serve a model that misses its objective or was never evaluated
OMP_NUM_THREADS     threads of the model; give it the cores that the replica may use
"""
import os
import sys

from llmcourse.monitoring import monitored_app
from llmcourse.serving import Predictor, deployment_checks, run_app


def main() -> None:
    told = os.environ.get
    predictor = Predictor(told("LLMCOURSE_MODEL", "/model"))
    if told("LLMCOURSE_FORCE") != "1":
        if missed := [str(check) for check in deployment_checks(predictor) if check.blocks and not check.ok]:
            raise PermissionError(f"{predictor.folder} misses its objective: {'; '.join(missed)}")
    app = monitored_app(predictor, told("LLMCOURSE_DATABASE", "/state/record.db"))
    run_app(app, told("LLMCOURSE_HOST", "0.0.0.0"), int(told("LLMCOURSE_PORT", "8000")))


if __name__ == "__main__":
    try: main()
    except (OSError, ValueError) as error: sys.exit(f"the replica does not start: {error}")
