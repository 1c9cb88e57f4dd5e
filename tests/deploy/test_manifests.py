"""What deploy/ ships is valid: manifests by their schemas, deployments by their flows, configurations by the models."""

from __future__ import annotations

import base64
import importlib.resources
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from prefect import Flow
from prefect.flows import load_flow_from_entrypoint
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from flows.automations import TAG
from ntkdist.config import load_config

VERSION = "1.31"
OPERATOR = "python://dask_kubernetes/operator/customresources"
REPOSITORY = Path(__file__).resolve().parents[2]
DEPLOY = REPOSITORY / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
MANIFESTS = sorted(path for path in KUBERNETES.glob("*.yaml") if path.name != "run.yaml")
DEPLOYMENTS = yaml.safe_load((REPOSITORY / "prefect.yaml").read_text())["deployments"]


def documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


@pytest.fixture(scope="module")
def operator() -> jsonschema.Draft202012Validator:
    """The Dask operator's own schema of a DaskCluster, with the Kubernetes types it refers to."""
    templates = yaml.safe_load(
        (importlib.resources.files("dask_kubernetes") / "operator/customresources/templates.yaml").read_text()
    )
    kinds = json.loads(
        (
            importlib.resources.files("kubernetes_validate")
            / f"kubernetes-json-schema/v{VERSION}.0-local-strict/_definitions.json"
        ).read_text()
    )
    registry: Registry[Any] = Registry().with_resources(
        [
            (f"{OPERATOR}/templates.yaml", DRAFT202012.create_resource(templates)),
            # The operator names the version it was written for; these are the same types of a newer one.
            (
                "python://k8s_crd_resolver/schemata/k8s-1.21.1.json",
                DRAFT202012.create_resource({"definitions": kinds["$defs"], "$defs": kinds["$defs"]}),
            ),
        ]
    )
    whole = {"$ref": f"{OPERATOR}/templates.yaml#/definitions/dask.k8s.api.v1.DaskCluster"}
    return jsonschema.Draft202012Validator(whole, registry=registry)


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_every_manifest_fits_its_schema(path: Path, operator: jsonschema.Draft202012Validator) -> None:
    found = documents(path)
    assert found
    for document in found:
        if document["kind"] == "DaskCluster":
            operator.validate(document)
        else:
            kubernetes_validate.validate(document, VERSION, strict=True)


def test_a_wrong_manifest_is_found_by_these_schemas(operator: jsonschema.Draft202012Validator) -> None:
    (document,) = documents(KUBERNETES / "daskcluster.yaml")
    for wrong in ({"replicas": "eight"}, {"spec": {"containers": [{"name": "worker", "imag": "x"}]}}):
        broken = {**document, "spec": {**document["spec"], "worker": {**document["spec"]["worker"], **wrong}}}
        with pytest.raises(jsonschema.ValidationError):
            operator.validate(broken)
    (claim,) = documents(KUBERNETES / "storage.yaml")
    claim["spec"]["accessMode"] = "ReadWriteMany"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(claim, VERSION, strict=True)


def test_names_agree_between_the_manifests_and_the_run() -> None:
    (cluster,) = documents(KUBERNETES / "daskcluster.yaml")
    (claim,) = documents(KUBERNETES / "storage.yaml")
    (driver,) = documents(KUBERNETES / "prefect-worker.yaml")
    (policy,) = documents(KUBERNETES / "network.yaml")
    config = load_config(KUBERNETES / "run.yaml")
    name, namespace = cluster["metadata"]["name"], cluster["metadata"]["namespace"]
    assert config.cluster.address == f"tls://{name}-scheduler.{namespace}.svc:8786"
    (address,) = (
        e["value"]
        for e in cluster["spec"]["worker"]["spec"]["containers"][0]["env"]
        if e["name"] == "DASK_SCHEDULER_ADDRESS"
    )
    assert address == config.cluster.address
    driver_spec = driver["spec"]["template"]["spec"]
    for pod in (cluster["spec"]["worker"]["spec"], driver_spec):
        assert claim["metadata"]["name"] in {
            volume.get("persistentVolumeClaim", {}).get("claimName") for volume in pod["volumes"]
        }
    allowed = policy["spec"]["ingress"][0]["from"]
    assert {"podSelector": {"matchLabels": driver["spec"]["template"]["metadata"]["labels"]}} in allowed
    pools = {d["work_pool"]["name"] for d in DEPLOYMENTS if "kubernetes" in d["parameters"]["config"]}
    assert pools == {driver_spec["containers"][0]["args"][4]}


def test_nothing_is_open_and_no_secret_is_in_a_file() -> None:
    (cluster,) = documents(KUBERNETES / "daskcluster.yaml")
    for part in ("worker", "scheduler"):
        args = cluster["spec"][part]["spec"]["containers"][0]["args"]
        assert args[args.index("--protocol") + 1] == "tls"
        assert args[args.index("--dashboard-address") + 1].startswith("127.0.0.1:")
    assert [port["port"] for port in cluster["spec"]["scheduler"]["service"]["ports"]] == [8786]
    for path in [*DEPLOY.rglob("*"), REPOSITORY / "prefect.yaml"]:
        if path.is_file():
            text = path.read_text()
            assert "BEGIN PRIVATE KEY" not in text
            assert not re.search(r"(password|_token|auth_string)\s*[:=]\s*\S", text, re.IGNORECASE), path


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the script needs openssl")
def test_the_certificates_script_makes_a_secret_whose_certificate_its_authority_signed(tmp_path: Path) -> None:
    made = subprocess.run(["sh", str(KUBERNETES / "certificates.sh")], capture_output=True, text=True, check=True)
    secret = yaml.safe_load(made.stdout)
    kubernetes_validate.validate(secret, VERSION, strict=True)
    assert set(secret["data"]) == {"ca.crt", "tls.crt", "tls.key"}
    for name, text in secret["data"].items():
        (tmp_path / name).write_bytes(base64.b64decode(text))
    checked = subprocess.run(
        ["openssl", "verify", "-CAfile", str(tmp_path / "ca.crt"), str(tmp_path / "tls.crt")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr
    mounted = documents(KUBERNETES / "daskcluster.yaml")[0]["spec"]["worker"]["spec"]["volumes"]
    assert secret["metadata"]["name"] in {volume.get("secret", {}).get("secretName") for volume in mounted}


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda deployment: deployment["name"])
def test_every_deployment_is_a_flow_whose_parameters_it_accepts(
    deployment: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(REPOSITORY)
    flow = load_flow_from_entrypoint(deployment["entrypoint"])
    assert isinstance(flow, Flow)
    parameters = flow.validate_parameters(deployment["parameters"])
    load_config(parameters["config"])
    assert deployment["tags"] == [TAG]
    assert deployment["concurrency_limit"] == {"limit": 1, "collision_strategy": "ENQUEUE"}
    assert deployment["work_pool"]["job_variables"]["env"]["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] == "30"


def test_the_parameters_render_as_a_form() -> None:
    schema = load_flow_from_entrypoint(str(REPOSITORY / "flows/ntk_pipeline.py") + ":ntk_pipeline")
    from prefect.utilities.callables import parameter_schema

    found = parameter_schema(schema).model_dump_for_openapi()
    kernel = json.dumps(found["definitions"])
    assert {"config", "unlock"} == set(found["properties"])
    assert "sigma_w" in kernel
    assert "depth" in kernel


@pytest.mark.parametrize("path", sorted(DEPLOY.rglob("run.yaml")), ids=lambda path: path.parent.name)
def test_shipped_run_configurations_load(path: Path) -> None:
    assert load_config(path).store


def test_the_image_copies_what_is_there_and_holds_the_tested_versions() -> None:
    text = (DEPLOY / "container" / "Containerfile").read_text()
    copied = [word for line in text.splitlines() if line.startswith("COPY ") for word in line.split()[1:-1]]
    assert copied
    for source in copied:
        assert (REPOSITORY / source).exists(), source
    lock = (REPOSITORY / "requirements.lock").read_text()
    pinned = {line.split(" ")[0] for line in lock.splitlines() if re.match(r"^[a-zA-Z0-9._-]+==", line)}

    def constraints(*extra: str) -> set[str]:
        script = ["sh", str(DEPLOY / "container" / "constraints.sh"), *extra]
        return set(subprocess.run(script, input=lock, capture_output=True, text=True, check=True).stdout.split())

    assert constraints() == pinned
    assert pinned - constraints("cuda12") == {p for p in pinned if p.startswith(("dask==", "distributed=="))}
