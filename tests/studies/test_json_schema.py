"""`xlift schema`: the JSON schema of a study, held against an independent validator."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from xlift.studies.json_schema import study_schema
from xlift.studies.study import shipped_studies
from xlift.yaml_document import parse_yaml

ROOT = Path(__file__).parents[2]
STUDIES = [*shipped_studies().values(), *sorted((ROOT / "studies").glob("*.yaml"))]


def as_json(value):
    """Tuples as lists, as the validator wants them."""
    return json.loads(json.dumps(value))


@pytest.fixture(scope="module")
def validator():
    schema = study_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_study_of_the_repository_is_valid(path, validator):
    study = as_json(parse_yaml(path.read_text(encoding="utf-8"), str(path)).value)
    assert list(validator.iter_errors(study)) == []


@pytest.mark.parametrize(
    ("study", "where"),
    [
        ({"targets": [{"task": "isle-nli", "siez": 5}]}, ["targets", 0]),
        ({"targets": [{"task": "isle-nli"}], "training": {"lr": "fast"}}, ["training", "lr"]),
        ({"targets": [{"task": "isle-nli"}], "tasks": [{"name": "mine"}]}, ["tasks", 0]),
        ({"targets": [{"task": "isle-nli"}], "sedes": [1]}, []),
    ],
)
def test_a_mistake_is_found_where_it_is(study, where, validator):
    assert where in [list(error.absolute_path) for error in validator.iter_errors(study)]


def test_synonyms_of_hugging_face_are_keys_too(validator):
    study = {"targets": [{"task": "isle-nli"}], "training": {"learning_rate": 1e-5, "num_train_epochs": 2}}
    assert list(validator.iter_errors(study)) == []


def test_fields_have_their_descriptions():
    schema = study_schema()
    assert schema["$defs"]["EarlyStopping"]["properties"]["eval_steps"]["description"]
    described = schema["$defs"]["CustomTask"]["properties"]["languages"]["description"]
    assert described == "Languages of paths, configurations, splits or values of `where` with {lang}."


def test_the_command_prints_it():
    printed = subprocess.run([sys.executable, "-m", "xlift", "schema"], capture_output=True, text=True, check=True)
    assert json.loads(printed.stdout) == json.loads(json.dumps(study_schema()))
