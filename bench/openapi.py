"""Invented requests against every application of the course: does each answer keep what its OpenAPI description says?

Usage: python bench/openapi.py [REQUESTS]      2,000 unless told, shared by the operations of all applications

Schemathesis invents requests as described and requests that break the description, and holds each answer against the
description: status, content type, headers, form. The models are small and were never trained. What breaks a promise is
named once, with the request; the exit code then is 1.
"""
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from starlette.testclient import TestClient

sys.path.insert(0, str(Path(__file__).resolve().parent.parent/"tests"))
from conftest import tiny_classifier  # noqa: E402

load_all_checks()
NAMES = {"not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
         "response_schema_conformance", "unsupported_method", "allow_header_conformance", "missing_required_header"}
PROMISES = [check for check in CHECKS.get_all() if check.__name__ in NAMES]
BOUNDED = dict(deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))


def applications(folder: Path) -> dict:
    "Each application by name, and the headers that its users send."
    from llmcourse.ab_testing import Experiment, ab_app
    from llmcourse.api import api_app, open_models
    from llmcourse.applications import applications_app
    from llmcourse.models import course_gpt
    from llmcourse.monitoring import monitored_app
    from llmcourse.serving import Limits, create_app
    classifier, small = tiny_classifier(folder/"model"), Limits(characters=50, texts=4)
    user = {"X-User-Id": "ann"}
    return {"serving": (create_app(classifier, limits=small), {}),
            "monitored": (monitored_app(classifier, folder/"a.db", limits=small), {}),
            "experiment": (ab_app(classifier, classifier, folder/"b.db", Experiment("fuzz"), 100), user),
            "its variants": (monitored_app(classifier, folder/"c.db", variant="B"), user),
            "applications": (applications_app(course_gpt(), classifier), {}),
            "api": (api_app(*open_models(["course-gpt"], slots=4, context=128)), {})}


class Findings:
    "How many requests were sent, how they were answered, and the first of each kind of broken promise."
    def __init__(self): self.statuses, self.broken = Counter(), {}

    def ask(self, case, headers: dict) -> None:
        response = case.call(headers=headers)
        self.statuses[response.status_code] += 1
        try: case.validate_response(response, checks=PROMISES)
        except (Exception, BaseExceptionGroup) as error:
            for problem in getattr(error, "exceptions", None) or [error]:
                kind = f"{case.operation.label}: {type(problem).__name__}, status {response.status_code}"
                self.broken.setdefault(kind, f"{' '.join(str(problem).split())[:300]}")


def try_out(operation, mode, examples: int, headers: dict, found: Findings) -> None:
    "So many requests of one operation."
    @settings(max_examples=examples, **BOUNDED)
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case): found.ask(case, headers)
    try: ask()
    except Unsatisfiable: pass                                       # nothing here can be broken


def main(requests: int = 2_000) -> None:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        apps = applications(Path(folder))
        described = {}
        for name, (app, _) in apps.items():
            stack.enter_context(TestClient(app))                     # starts what the application starts
            schema = schemathesis.openapi.from_asgi("/openapi.json", app)
            described[name] = [operation.ok() for operation in schema.get_all_operations()]
        each = -(-requests // (2 * sum(map(len, described.values()))))
        total, broken = 0, 0
        for name, operations in described.items():
            began, found = time.perf_counter(), Findings()
            for operation in operations:
                for mode in GenerationMode: try_out(operation, mode, each, apps[name][1], found)
            sent = sum(found.statuses.values())
            total, broken = total + sent, broken + len(found.broken)
            print(f"{name:13} {len(operations):2} operations, {sent:6,} requests in {time.perf_counter() - began:4.0f} "
                  f"s, answered {dict(sorted(found.statuses.items()))}; {len(found.broken)} kinds of broken promises",
                  flush=True)
            for kind, why in found.broken.items(): print(f"  {kind}\n    {why}", flush=True)
    print(f"{total:,} requests, {broken} kinds of broken promises")
    if broken: raise SystemExit(1)


if __name__ == "__main__": main(*map(int, sys.argv[1:2]))
