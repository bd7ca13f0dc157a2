"""Queries read by one pydantic model.

FastAPI takes a parameter of a function at a time, which on the path that is asked most costs more
than the answer does.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from serving.problems import invalid

Query = TypeVar("Query", bound=BaseModel)


def read_query(model: type[Query], request: Request) -> Query:
    """The parameters of path and query as `model`; of one that is given more often, lists take all
    values.

    Raises RequestValidationError, as FastAPI does.
    """
    lists = _list_parameters(model)
    sent = request.query_params
    values: dict[str, Any] = {}
    for name in sent:
        values[name] = sent.getlist(name) if name in lists else sent[name]
    values.update(request.path_params)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise invalid(error, "query") from None


@cache
def _list_parameters(model: type[BaseModel]) -> set[str]:
    """Names of the parameters that may be given several times."""
    properties = model.model_json_schema()["properties"]
    return {name for name, schema in properties.items() if _holds_list(schema)}


def _holds_list(schema: Mapping[str, Any]) -> bool:
    alternatives = schema.get("anyOf", [schema])
    return any(alternative.get("type") == "array" for alternative in alternatives)


def described(model: type[BaseModel], path: str) -> dict[str, Any]:
    """The same parameters for OpenAPI. path: the one that stands in the path."""
    schema = model.model_json_schema()
    parameters = []
    for name, field in schema["properties"].items():
        parameter = {
            "name": name,
            "in": "path" if name == path else "query",
            "required": name in schema["required"],
            "schema": _value_schema(field),
            "description": field.get("description", ""),
        }
        if field.get("deprecated"):
            parameter["deprecated"] = True
        parameters.append(parameter)
    return {"parameters": parameters}


def _value_schema(field: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of a field's values; a query cannot hold null."""
    schema = {
        key: value for key, value in field.items() if key not in ("description", "deprecated")
    }
    alternatives = schema.get("anyOf", [])
    not_null = [schema for schema in alternatives if schema != {"type": "null"}]
    if len(not_null) == 1:
        del schema["anyOf"]
        schema.pop("default", None)
        schema.update(not_null[0])
    return schema
