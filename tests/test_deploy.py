"""The files of `deploy/` are what their tools accept, and nginx hides the death of a replica.

Tools that pip installs are needed. Those of the system are skipped where they are missing, unless
LLMCOURSE_SYSTEM=required: nginx, systemd-analyze (package systemd) and promtool (package prometheus)."""
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, run, tiny_classifier, tool

DEPLOY = ROOT/"deploy"


def system(name: str) -> str:
    "A tool of the operating system; the test is skipped without it."
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if found: return found
    package = {"promtool": "prometheus", "systemd-analyze": "systemd"}.get(name, name)
    if os.environ.get("LLMCOURSE_SYSTEM") == "required": pytest.fail(f"{name} is missing: apt-get install {package}")
    pytest.skip(f"{name} is not installed: apt-get install {package}")


def read(name: str): return yaml.safe_load((DEPLOY/name).read_text(encoding="utf-8"))
def manifests() -> dict:
    return {part["kind"]: part for part in yaml.safe_load_all((DEPLOY/"kubernetes.yml").read_text(encoding="utf-8"))}


def test_dockerfile_is_clean():
    run(tool("hadolint"), DEPLOY/"Dockerfile")


def test_yaml_is_clean():
    run(tool("yamllint"), "--strict", "-c", DEPLOY/"yamllint.yml", *DEPLOY.glob("*.yml"), DEPLOY/"grafana")


def test_compose_fits_its_schema():
    run(tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", DEPLOY/"compose.yml")


def test_compose_mounts_what_exists():
    services = read("compose.yml")["services"]
    files = [mount.split(":")[0] for service in services.values() for mount in service["volumes" if "volumes" in service
             else "tmpfs"] if isinstance(mount, str) and mount.startswith("./")]
    assert files and all((DEPLOY/name).is_file() for name in files), files
    secrets = {service["env_file"] for service in services.values() if "env_file" in service}
    assert {Path(name).name for name in secrets} == {path.name for path in (DEPLOY/"secrets.example").iterdir()}
    assert "secrets/" in (DEPLOY/".gitignore").read_text().split(), "passwords must stay out of the repository"


def test_each_service_has_limits_and_a_health_check():
    services, image = read("compose.yml")["services"], (DEPLOY/"Dockerfile").read_text()
    assert "HEALTHCHECK" in image, "replicas take theirs from the image"
    for name, service in services.items():
        assert "healthcheck" in service or name.startswith("replica"), name
        assert service["restart"] == "unless-stopped", name
        assert re.search(r":[\w.]*\d\.\d", service["image"]), f"{name}: name a version, not {service['image']}"


def test_kubernetes_accepts_the_manifests():
    run(tool("kubernetes-validate"), "--strict", DEPLOY/"kubernetes.yml")


def test_manifests_belong_together():
    parts = manifests()
    pod = parts["Deployment"]["spec"]["template"]
    labels, container = pod["metadata"]["labels"], pod["spec"]["containers"][0]
    for chosen in (parts["Deployment"]["spec"]["selector"]["matchLabels"], parts["Service"]["spec"]["selector"],
                   parts["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"]):
        assert chosen.items() <= labels.items()
    assert parts["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == parts["Deployment"]["metadata"]["name"]
    assert "cpu" in container["resources"]["requests"], "the autoscaler counts in shares of what was requested"


def test_graces_leave_time_to_answer():
    "Whoever stops a replica waits longer than the replica takes to answer what it accepted."
    from llmcourse.serving import Limits
    pod = manifests()["Deployment"]["spec"]["template"]["spec"]
    sleep = int(pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] >= sleep + Limits.stop_seconds + 5
    assert int(read("compose.yml")["x-replica"]["stop_grace_period"].rstrip("s")) > Limits.stop_seconds
    assert int(re.search(r"TimeoutStopSec=(\d+)", (DEPLOY/"llmcourse.service").read_text())[1]) > Limits.stop_seconds
    nginx = (DEPLOY/"nginx.conf").read_text()
    assert int(re.search(r"proxy_read_timeout (\d+)s", nginx)[1]) > Limits.answer_seconds
    assert int(re.search(r"client_max_body_size (\d+)m", nginx)[1]) * 1_000_000 == Limits.bytes


def test_prometheus_reads_its_files():
    promtool = system("promtool")
    run(promtool, "check", "config", DEPLOY/"prometheus.yml")
    run(promtool, "check", "rules", DEPLOY/"alerts.yml")


def test_prometheus_asks_every_replica():
    targets = read("prometheus.yml")["scrape_configs"][0]["static_configs"][0]["targets"]
    replicas = [name for name in read("compose.yml")["services"] if name.startswith("replica")]
    balanced = re.findall(r"server (replica-\d+:\d+)", (DEPLOY/"nginx.conf").read_text())
    assert targets == balanced == [f"{name}:8000" for name in replicas]


def test_dashboard_finds_its_source():
    board = json.loads((DEPLOY/"dashboard.json").read_text(encoding="utf-8"))
    assert board["templating"]["list"][0]["query"] == read("grafana/datasources.yml")["datasources"][0]["type"]


def test_unit_is_one_that_systemd_starts(tmp_path):
    text = (DEPLOY/"llmcourse.service").read_text(encoding="utf-8")
    unit = tmp_path/"llmcourse.service"
    unit.write_text(re.sub(r"ExecStart=\S+ \S+", f"ExecStart={sys.executable} {DEPLOY/'replica.py'}", text))
    done = subprocess.run([system("systemd-analyze"), "verify", unit], capture_output=True, text=True)
    assert done.returncode == 0 and unit.name not in done.stderr, done.stderr


def test_unit_may_do_little(tmp_path):
    "systemd's own score of what a service could do: 0 nothing, 10 everything."
    shutil.copy(DEPLOY/"llmcourse.service", tmp_path)
    said = run(system("systemd-analyze"), "security", "--offline=true", "--no-pager", tmp_path/"llmcourse.service")
    assert float(re.search(r"exposure level for llmcourse.service: ([\d.]+)", said)[1]) <= 2


def test_nginx_reads_its_file(tmp_path):
    from llmcourse.capacity import local_nginx
    config = local_nginx((DEPLOY/"nginx.conf").read_text(encoding="utf-8"), 8080, [8001, 8002], str(tmp_path))
    (tmp_path/"nginx.conf").write_text(config)
    run(system("nginx"), "-t", "-q", "-c", tmp_path/"nginx.conf", "-e", tmp_path/"error.log")


def test_replica_says_why_it_does_not_start(tmp_path):
    environment = os.environ | {"LLMCOURSE_MODEL": str(tiny_classifier(tmp_path/"checkpoint"))}
    done = subprocess.run([sys.executable, DEPLOY/"replica.py"], env=environment, capture_output=True, text=True)
    assert done.returncode == 1 and "was never evaluated" in done.stderr and "Traceback" not in done.stderr


def test_nobody_notices_that_a_replica_died(tmp_path, monkeypatch):
    "Two real replicas behind a real nginx; one is killed while requests are on their way."
    system("nginx")
    monkeypatch.syspath_prepend(ROOT/"experiments")
    import capacity
    row = capacity.measure("as delivered", 0, tiny_classifier(tmp_path/"checkpoint"), ["it broke in a week"] * 8)
    assert row["sent"] == capacity.SETTINGS["rate"] * capacity.SETTINGS["seconds"]
    assert row["failed"] == 0, row["transcript"]
