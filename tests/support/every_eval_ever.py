"""The rules of Every Eval Ever's schema 0.3.0 for the parts that xlift writes: names, types and what is required.

Written from eval.schema.json and instance_level_eval.schema.json of every-eval-ever 0.3.0. Both are closed at the top.
"""

from __future__ import annotations

from typing import Any

TEXT, NUMBER = {"type": "string"}, {"type": "number"}
TEXTS = {"type": "array", "items": TEXT}
DETAILS = {"type": "object", "additionalProperties": TEXT}


def record(required: dict[str, Any], optional: dict[str, Any] | None = None, *, closed: bool = False) -> dict[str, Any]:
    properties = {**required, **(optional or {})}
    return {"type": "object", "required": list(required), "properties": properties, "additionalProperties": not closed}


def one_of(*names: str) -> dict[str, Any]:
    return {"enum": list(names)}


_TOOL = {"name": TEXT, "version": TEXT}
_SOURCE = {
    "oneOf": [
        record({"dataset_name": TEXT, "source_type": {"const": "other"}}, {"additional_details": DETAILS}),
        record(
            {"dataset_name": TEXT, "source_type": {"const": "hf_dataset"}},
            {"hf_repo": TEXT, "hf_split": TEXT, "additional_details": DETAILS},
        ),
    ]
}
_RESULT = record(
    {
        "evaluation_name": TEXT,
        "source_data": _SOURCE,
        "metric_config": record(  # `continuous` needs both bounds
            {"lower_is_better": {"type": "boolean"}, "score_type": {"const": "continuous"}, "min_score": NUMBER, "max_score": NUMBER},
            {"evaluation_description": TEXT, "metric_id": TEXT, "metric_name": TEXT},
        ),
        "score_details": record(
            {"score": NUMBER}, {"details": DETAILS, "uncertainty": record({}, {"num_samples": {"type": "integer"}})}
        ),
    },
    {"evaluation_result_id": TEXT},
)  # fmt: skip
_UUID4 = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
AGGREGATE = record(
    {
        "schema_version": {"const": "0.3.0"},
        "evaluation_id": TEXT,
        "retrieved_timestamp": {"type": "string", "pattern": "^[0-9]+$"},
        "source_metadata": record(
            {
                "source_type": one_of("documentation", "evaluation_run"),
                "source_organization_name": TEXT,
                "evaluator_relationship": one_of("first_party", "third_party", "collaborative", "other"),
            },
            {"source_name": TEXT},
        ),
        "eval_library": record(_TOOL),
        "model_info": record(
            {
                "name": TEXT,
                "id": TEXT,
                "additional_details": {
                    **record(
                        {
                            "deployment_type": one_of("self_deployed", "externally_managed", "unknown"),
                            "model_availability": one_of("open_weights", "closed_weights", "unknown"),
                        }
                    ),
                    "additionalProperties": TEXT,
                },
            },
            {"developer": TEXT, "inference_engine": record({}, _TOOL)},
        ),
        "evaluation_results": {"type": "array", "items": _RESULT},
    },
    {
        "detailed_evaluation_results": record(
            {
                "format": {"const": "jsonl"},
                "file_path": {"type": "string", "pattern": f"^data/[^/]+/[^/]+/[^/]+/{_UUID4}_samples\\.jsonl$"},
            },
            {"hash_algorithm": {"const": "sha256"}, "checksum": TEXT, "total_rows": {"type": "integer"}},
        )
    },
    closed=True,
)
SAMPLE = record(
    {
        "schema_version": {"const": "0.3.0"},
        "evaluation_id": TEXT,
        "model_id": TEXT,
        "evaluation_name": TEXT,
        "sample_id": TEXT,
        "interaction_type": {"const": "single_turn"},
        "input": record({"raw": TEXT, "reference": TEXTS}, {"choices": {"type": ["array", "null"], "items": TEXT}}),
        "output": record({"raw": TEXTS}),  # required of `single_turn`, whose messages are null
        "answer_attribution": {
            "type": "array",
            "items": record(
                {
                    "turn_idx": {"type": "integer", "minimum": 0},
                    "source": TEXT,
                    "extracted_value": TEXT,
                    "extraction_method": TEXT,
                    "is_terminal": {"type": "boolean"},
                }
            ),
        },
        "evaluation": record({"score": NUMBER, "is_correct": {"type": "boolean"}}),
    },
    {"evaluation_result_id": TEXT, "sample_hash": TEXT, "messages": {"type": "null"}, "metadata": DETAILS},
    closed=True,
)
