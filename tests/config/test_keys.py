from __future__ import annotations

import json
import re

import jsonschema
import pytest
import yaml

from engram_sweep.config.keys import keys, schema
from engram_sweep.config.scale import scale_names
from engram_sweep.config.strict_yaml import read_mapping
from tests.examples import DATA, SWEEPS, data

FOUND = keys()
BY_NAME = {key.name: key for key in FOUND}


@pytest.mark.parametrize("key", FOUND, ids=[key.name for key in FOUND])
def test_every_key_says_what_it_is(key) -> None:
    assert re.fullmatch(r"[`\w].*\.", key.about), f"{key.name} needs a docstring below it"
    assert key.kind


def test_keys_are_those_that_a_file_may_hold() -> None:
    written = {
        f"{section}.{key}" for section, keys in DATA.items() if section != "about" for key in keys
    }
    assert written < set(BY_NAME)
    assert not {"name", "changes"} & set(BY_NAME)


def test_terms_are_those_of_the_classes() -> None:
    window = BY_NAME["training.window"]
    assert (window.kind, window.default) == ("integer, at least 1, at most 1e+09", None)
    assert BY_NAME["training.betas"].default == "[0.9, 0.95]"
    assert BY_NAME["training.schedule"].kind == "one of cosine, wsd, step"
    assert BY_NAME["sweep.rho"].kind == "list, each: number, at least 0, at most 1"
    assert BY_NAME["launch.slurm.nodes"].default == "left out"


def test_the_schema_in_the_repository_is_this_one() -> None:
    assert json.loads((SWEEPS / "schema.json").read_text()) == schema(), "make keys writes it"


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("name", scale_names(SWEEPS))
def test_shipped_scales_are_valid_for_an_editor_too(name: str) -> None:
    jsonschema.validate(read_mapping(SWEEPS / f"{name}.yaml"), schema())


@pytest.mark.parametrize(
    "changes",
    [
        {"model__d_modle": 3},
        {"model__d_model": "64"},
        {"model__d_model": 12},
        {"training": None},
        {"sweep__rho": [1.2]},
        {"training__schedule": "linear"},
    ],
)
def test_an_editor_marks_what_a_launch_refuses(changes) -> None:
    jsonschema.validate(data(), schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(yaml.safe_dump(data(**changes))), schema())
