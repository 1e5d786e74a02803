"""The JSON schema of a study, for editors: completion, and errors while typing."""

from __future__ import annotations

import ast
import inspect
from typing import Any

from pydantic import BaseModel

from xlift.recipes import Settings
from xlift.studies.study import Study
from xlift.tasks.sources.custom import CustomTask


def study_schema() -> dict[str, Any]:
    """JSON schema (draft 2020-12) of a study file. Values that depend on data, such as names of tasks, are checked by
    `xlift plan` only."""
    schema = Study.model_json_schema()
    tasks = CustomTask.model_json_schema(ref_template="#/$defs/{model}")
    definitions: dict[str, Any] = schema.setdefault("$defs", {})
    definitions |= tasks.pop("$defs", {}) | {"CustomTask": tasks}
    schema["properties"]["tasks"]["items"] = {"$ref": "#/$defs/CustomTask"}
    by_name = {
        cls.__name__: cls for cls in (Study, CustomTask, *_settings_classes(Study), *_settings_classes(CustomTask))
    }
    for name, entry in {**definitions, "Study": schema}.items():
        if name in by_name:
            _complete(entry, by_name[name])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema | {"title": "xlift study"}


def _complete(schema: dict[str, Any], cls: type[BaseModel]) -> None:
    """Add what pydantic leaves out: the docstrings of fields and the synonyms of keys."""
    properties: dict[str, Any] = schema.get("properties", {})
    docs = _field_docs(cls)
    for name, entry in list(properties.items()):
        if isinstance(entry.get("default"), dict):
            del entry["default"]  # a whole section with every key: no help to a reader
        if name in docs:
            entry["description"] = docs[name]
        synonyms = cls.spellings(name)[1:] if issubclass(cls, Settings) else ()
        properties |= {synonym: entry | {"description": f"The same as `{name}`."} for synonym in synonyms}


def _field_docs(cls: type[BaseModel]) -> dict[str, str]:
    docs: dict[str, str] = {}
    for base in reversed([base for base in cls.__mro__ if issubclass(base, BaseModel) and base is not BaseModel]):
        (definition,) = ast.parse(inspect.getsource(base)).body
        assert isinstance(definition, ast.ClassDef)
        for field, text in zip(definition.body, definition.body[1:]):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(text, ast.Expr)
                and isinstance(text.value, ast.Constant)
            ):
                docs[field.target.id] = inspect.cleandoc(str(text.value.value))
    return docs


def _settings_classes(cls: type[BaseModel]) -> set[type[BaseModel]]:
    """All models that the fields of a model lead to."""
    found: set[type[BaseModel]] = set()
    waiting: list[Any] = [field.annotation for field in cls.model_fields.values()]
    while waiting:
        kind = waiting.pop()
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            if kind not in found:
                found.add(kind)
                waiting += [field.annotation for field in kind.model_fields.values()]
        else:
            waiting += getattr(kind, "__args__", ())
    return found
