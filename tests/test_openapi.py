"""The server keeps what its OpenAPI description promises, whatever is sent: schemathesis invents the requests.

`LLMCOURSE_FUZZ=2500` sends so many a case; unless told, few enough for every day."""
import os

import pytest
import schemathesis
from conftest import tiny_classifier
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from starlette.testclient import TestClient

from llmcourse.serving import Limits, create_app

load_all_checks()
PROMISES = [check for check in CHECKS.get_all() if check.__name__ in {
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "unsupported_method", "allow_header_conformance", "missing_required_header"}]
bounded = settings(max_examples=int(os.environ.get("LLMCOURSE_FUZZ", 50)), deadline=None, database=None,
                   derandomize=True, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    "A classifier that was never trained, behind limits that invented requests meet."
    return create_app(tiny_classifier(tmp_path_factory.mktemp("fuzz")/"model"), limits=Limits(characters=50, texts=4))


@pytest.fixture(scope="module")
def described(app):
    return schemathesis.openapi.from_asgi("/openapi.json", app)


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("address", ["POST /predict", "GET /healthz", "GET /readyz"])
def test_every_answer_is_described(described, address, mode):
    "Requests as described, and requests that break the description."
    operation = next(o for o in (found.ok() for found in described.get_all_operations())
                     if f"{o.method.upper()} {o.path}" == address)
    @bounded
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case): case.call_and_validate(checks=PROMISES)
    try: ask()
    except Unsatisfiable: pytest.skip("nothing here can be broken")


def test_all_checks_are_there():
    assert len(PROMISES) == 8


def test_each_address_describes_its_refusals(app):
    paths = TestClient(app).get("/openapi.json").json()["paths"]
    assert set(paths) == {"/predict", "/healthz", "/readyz"}
    for path in paths.values():
        for operation in path.values():
            assert {"200", "401", "408", "413", "422", "429", "500", "503", "504"} <= set(operation["responses"])
