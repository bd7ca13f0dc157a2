"""Queries read by one pydantic model.

FastAPI takes a parameter of a function at a time, which on the path that is asked most costs more
than the answer does.
"""

from functools import cache
from typing import Any, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

Query = TypeVar("Query", bound=BaseModel)


def read_query(model: type[Query], request: Request) -> Query:
    """The parameters of path and query as `model`; of one that is given more often, lists take all
    values.

    Raises RequestValidationError, as FastAPI does.
    """
    several, asked = _lists(model), request.query_params
    found: dict[str, Any] = {
        name: asked.getlist(name) if name in several else asked[name] for name in asked
    }
    try:
        return model.model_validate(found | request.path_params)
    except ValidationError as error:
        raise RequestValidationError(
            [{**one, "loc": ("query", *one["loc"])} for one in error.errors()]
        ) from None


@cache
def _lists(model: type[BaseModel]) -> set[str]:
    """Names of the parameters that may be given several times."""
    properties = model.model_json_schema()["properties"]
    return {name for name, facts in properties.items() if facts.get("type") == "array"}


def described(model: type[BaseModel], path: str) -> dict[str, Any]:
    """The same parameters for OpenAPI. path: the one that stands in the path."""
    schema = model.model_json_schema()
    return {
        "parameters": [
            {
                "name": name,
                "in": "path" if name == path else "query",
                "required": name in schema["required"],
                "schema": {key: value for key, value in facts.items() if key != "description"},
                "description": facts.get("description", ""),
            }
            for name, facts in schema["properties"].items()
        ]
    }
