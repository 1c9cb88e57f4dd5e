"""Flows of parts of the pipeline, of appended rows, their restarts, and what they tell people."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from prefect.artifacts import Artifact
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.blocks.system import Secret
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.append import append
from flows.automations import automations_command
from flows.ntk_pipeline import ntk_pipeline
from flows.parts import gram, solve, spectrum
from flows.running import RESTARTS
from flows.serve import served
from ntkdist.config import RunConfig, parse_config
from ntkdist.errors import ClusterLost, InputError
from ntkdist.pipeline.open_run import open_run

pytestmark = pytest.mark.usefixtures("prefect_server")
rng = np.random.default_rng(0)
X, Y = rng.standard_normal((150, 5)), rng.standard_normal(150)


def tree(folder: Path, **more: Any) -> dict[str, Any]:
    if not (folder / "d.npz").exists():
        np.savez(folder / "d.npz", x=X[:120], y=Y[:120])
    return {
        "data": {"path": str(folder / "d.npz"), "test_fraction": 0.1},
        "kernel": {"depth": 2},
        "gram": {"tile": 30},
        "spectrum": {"certificate": "residual"},
        "solve": {"ridge": 0.1, "method": "cg"},
        "theory": {"two_layer": False, "sizes": [], "ensemble_rows": 0},
        "predict": {"nngp": False, "variance_rows": 0},
        "store": str(folder / "a.zarr"),
    } | more


def config(folder: Path, **more: Any) -> RunConfig:
    return parse_config(tree(folder, **more))


def test_parts_build_on_each_other_and_the_pipeline_repeats_none_of_them(tmp_path: Path) -> None:
    first = gram(config(tmp_path))
    assert first["gram"]["finished_tiles"] == first["gram"]["tiles"]
    assert "spectrum" not in first
    second = spectrum(config(tmp_path))
    assert second["spectrum"]["lambda_min"]["value"] > 0
    assert "solution" not in second
    third = solve(config(tmp_path))
    assert max(third["solution"]["residual_norms"]) <= 1e-8
    assert not third["complete"]
    whole = ntk_pipeline(config(tmp_path))
    assert whole["complete"]
    assert whole["spectrum"] == second["spectrum"]
    assert whole["solution"] == third["solution"]
    for key in ("ntk-gram-summary", "ntk-spectrum-summary", "ntk-solve-results", "ntk-training-curve"):
        assert Artifact.get(key) is not None, key


def test_a_flow_reads_its_configuration_from_a_file_when_it_runs(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(json.dumps(tree(tmp_path)))
    assert gram(str(file))["data"]["n_train"] == 108
    with pytest.raises(InputError, match=r"nowhere\.yaml does not exist"):
        gram(str(tmp_path / "nowhere.yaml"))


def test_appended_rows_are_listed_with_what_they_changed_and_the_solve_starts_from_the_old_weights(
    tmp_path: Path,
) -> None:
    before = ntk_pipeline(config(tmp_path))
    np.savez(tmp_path / "new.npz", x=X[120:], y=Y[120:])
    done = append(config(tmp_path), str(tmp_path / "new.npz"))
    assert (done["appended"], done["n"]) == (30, 138)
    after = done["results"]
    assert after["complete"]
    assert after["solution"]["start"] == "the weights before rows were appended"
    assert before["solution"]["start"] == "zero"
    # A start that is not zero costs the pass that finds its residual, before the first step.
    assert before["solution"]["history"][0][0] == 1
    assert after["solution"]["history"][0][0] == 2
    assert max(after["solution"]["residual_norms"]) <= 1e-8
    changed = {line["quantity"]: line for line in done["changes"]}
    assert changed["λ_min"]["before"] != changed["λ_min"]["now"]
    assert changed["λ_min"]["now error"].endswith("residual")
    table = Artifact.get("ntk-changes")
    assert table is not None
    assert "λ_min" in {line["quantity"] for line in json.loads(str(table.data))}
    again = append(config(tmp_path), str(tmp_path / "new.npz"))
    assert (again["appended"], again["computed"]) == (0, 0)
    assert again["changes"] == done["changes"]
    # The weights are those of a solve from zero.
    run = open_run(tmp_path / "a.zarr")
    direct = np.linalg.solve(run.gram.to_numpy() + 0.1 * np.eye(138), run.inputs.y_train.to_numpy())
    np.testing.assert_allclose(run.solution.to_numpy(), direct, rtol=0, atol=1e-6 * np.abs(direct).max())


@pytest.mark.parametrize(
    ("url", "sentence"), [("", "names no server"), ("http://127.0.0.1:9/api", "No Prefect server answers at http")]
)
def test_automations_need_a_server_that_stays(url: str, sentence: str) -> None:
    with temporary_settings({PREFECT_API_URL: url or None}), pytest.raises(InputError, match=sentence):
        automations_command()


def test_a_refused_append_is_a_failed_run_with_its_sentence(tmp_path: Path) -> None:
    gram(config(tmp_path))
    np.savez(tmp_path / "new.npz", x=X[120:, :3], y=Y[120:])
    with pytest.raises(InputError, match="has 3 features"):
        append(config(tmp_path), str(tmp_path / "new.npz"))


def test_a_run_that_keeps_dying_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.running.flow_run.get_run_count", lambda: RESTARTS + 2)
    with pytest.raises(ClusterLost, match=f"begun {RESTARTS + 1} times and died each time"):
        ntk_pipeline(config(tmp_path))
    assert not (tmp_path / "a.zarr").exists()


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Any:
    received: list[dict[str, str]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    Thread(target=server.serve_forever, daemon=True).start()
    # Prefect refuses private addresses in webhooks; here the receiver is one.
    block = CustomWebhookNotificationBlock(
        name="here",
        url=f"http://127.0.0.1:{server.server_port}/",
        json_data={"subject": "{{subject}}", "text": "{{body}}"},
    )
    block.save("ntk-test", overwrite=True)
    monkeypatch.setenv("NTKDIST_NOTIFY", "custom-webhook/ntk-test")
    yield received
    server.shutdown()
    server.server_close()


def test_a_failed_run_is_told_to_the_block_that_the_environment_names(
    tmp_path: Path, webhook: list[dict[str, str]]
) -> None:
    gram(config(tmp_path))
    assert webhook == []  # completed runs are not told unless asked for
    with pytest.raises(InputError):
        gram(config(tmp_path, kernel={"depth": 2, "activation": "rleu"}))
    (message,) = webhook
    assert message["subject"].startswith("ntkdist: ")
    assert "unknown activation" in message["text"]


def test_completed_runs_are_told_where_the_environment_says_so(
    tmp_path: Path, webhook: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NTKDIST_NOTIFY_ON", "completed")
    gram(config(tmp_path))
    assert [message["text"].split(" is ")[1][:9] for message in webhook] == ["Completed"]


def test_a_block_that_cannot_notify_is_named_and_the_run_is_not_hurt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    Secret(value="x").save("ntk-mute", overwrite=True)
    monkeypatch.setenv("NTKDIST_NOTIFY", "secret/ntk-mute")
    monkeypatch.setenv("NTKDIST_NOTIFY_ON", "completed")
    assert gram(config(tmp_path))["gram"]["finished_tiles"] == 10
    assert "which does not notify" in caplog.text


@pytest.mark.parametrize(
    ("cron", "every", "url", "sentence"),
    [
        (None, None, "http://127.0.0.1:1/api", "exactly one schedule"),
        ("0 2 * * *", 3.0, "http://127.0.0.1:1/api", "exactly one schedule"),
        ("0 2 * * *", None, "", "names no server"),
    ],
)
def test_serving_needs_one_schedule_and_a_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cron: str | None, every: float | None, url: str, sentence: str
) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(json.dumps(tree(tmp_path)))
    monkeypatch.setenv("PREFECT_API_URL", url)
    with pytest.raises(InputError, match=sentence):
        served(file, cron=cron, every=every, name=None)
