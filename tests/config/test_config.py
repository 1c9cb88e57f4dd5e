"""A configuration is refused in one sentence that says what, where and what to do."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from ntkdist.config import json_schema, load_config, parse_config, shipped_schema
from ntkdist.errors import InputError

MINIMAL = {"data": {"path": "a.npz"}}


def test_every_key_but_the_data_path_has_a_default() -> None:
    config = parse_config(MINIMAL)
    assert config.spectrum.certificate == "rigorous"
    assert config.gram.compute == config.gram.storage == "float64"


def test_overrides_are_read_as_yaml_and_do_not_change_the_tree() -> None:
    config = parse_config(MINIMAL, ["kernel.depth=5", "solve.rtol=1e-6", "theory.times=[0, 1.5]", "gram.tile=auto"])
    assert (config.kernel.depth, config.solve.rtol, config.theory.times) == (5, 1e-6, (0.0, 1.5))
    assert MINIMAL == {"data": {"path": "a.npz"}}


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("kernel.dept=3", "did you mean kernel.depth"),
        ("zzz=3", "known here: data, kernel"),
        ("kernel.zzz=3", "unknown key kernel.zzz"),
        ("kernel.sigma_w=0", "kernel.sigma_w must be greater than 0"),
        ("kernel.sigma_w=.nan", "finite"),
        ("kernel.sigma_b=-1", "kernel.sigma_b"),
        ("kernel.depth=0", "kernel.depth"),
        ("gram.tile=0", "gram.tile"),
        ("gram.mode=quick", "gram.mode"),
        ("data.test_fraction=1", "data.test_fraction"),
        ("cluster.type=address", "cluster.address"),
        ("kernel.layers=[]", "empty list"),
        ("kernel=3", "kernel"),
        ("noequals", "not of the form"),
        ("kernel.depth=[1", "not a valid YAML"),
    ],
)
def test_a_bad_value_is_named_with_its_key(override: str, words: str) -> None:
    with pytest.raises(InputError, match=r"[.?]$") as caught:
        parse_config(MINIMAL, [override])
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_layers_and_the_simple_form_exclude_each_other() -> None:
    with pytest.raises(InputError, match="depth cannot be given"):
        parse_config(MINIMAL, ["kernel.layers=[{activation: erf}]", "kernel.depth=2"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("data: {path: a", "not a valid YAML"),
        ("data: &x {path: a}\nkernel: *x", "aliases"),
        ("data: {path: a}\ndata: {path: b}", "stands twice"),
        ("[1, 2]", "must be a mapping"),
        ("", "must be a mapping"),
        ("data: !!python/object/apply:os.system [ls]", "not a valid YAML"),
        ("{}", "data is required"),
    ],
)
def test_a_broken_file_is_refused_in_one_sentence(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises(InputError) as caught:
        load_config(file)
    assert words in str(caught.value)
    assert str(file) in str(caught.value)


def test_files_that_cannot_be_configurations_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        load_config(tmp_path / "none.yaml")
    with pytest.raises(InputError, match="folder"):
        load_config(tmp_path)
    big = tmp_path / "big.yaml"
    big.write_text("#" * 1_000_001)
    with pytest.raises(InputError, match="1 MB"):
        load_config(big)
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="UTF-8"):
        load_config(binary)


def test_the_shipped_schema_is_the_models_schema_and_accepts_the_shipped_configs() -> None:
    assert shipped_schema() == json.loads(json.dumps(json_schema()))
    for file in (Path(__file__).parents[2] / "conf").glob("*.yaml"):
        tree = yaml.safe_load(file.read_text())
        jsonschema.validate(tree, shipped_schema())
        load_config(file)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"data": {"path": "a"}, "kernel": {"dept": 3}}, shipped_schema())
