"""Errors as documents: ``{"error": {code, message, field, advice}, "problems": [...]}``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from app.recordfile import RecordError
from app.runs import RunError
from trainer.contract.models import ModelError
from trainer.contract.problems import ConfigError, Problem, message_and_advice
from trainer.contract.redact import redact
from trainer.data import DatasetError
from trainer.data.templates.sandbox import TemplateError
from trainer.engines.errors import EngineError

STATUS = {
    "unknown_run": 404,
    "unknown_checkpoint": 404,
    "unknown_dataset": 404,
    "unknown_model": 404,
    "unknown_job": 404,
    "unknown_version": 404,
    "unknown_file": 404,
    "no_such_row": 404,
    "no_evaluation": 404,
    "not_evaluated": 404,
    "unknown_key": 404,
    "unknown_endpoint": 404,
    "unknown_chat": 404,
    "unknown_turn": 404,
    "unknown_answer": 404,
    "unknown_preset": 404,
    "being_written": 409,
    "still_writing": 409,
    "not_blind": 409,
    "names_hidden": 409,
    "damaged_chat": 409,
    "builtin_preset": 409,
    "device_busy": 503,
    "engine_died": 503,
    "unknown_engine": 404,
    "engine_busy": 409,
    "engine_ended": 409,
    "key_exists": 409,
    "endpoint_exists": 409,
    "dataset_in_use": 409,
    "shared_dataset": 409,
    "model_shipped": 409,
    "model_outside": 403,
    "model_outside_roots": 403,
    "path_outside_roots": 403,
    "too_large": 413,
    "no_space": 507,
}
HTTP_CODES = {400: "bad_request", 403: "forbidden", 404: "not_found", 405: "method",
              413: "too_large", 415: "content_type", 503: "busy"}


def document(code: str, message: str, *, field: str = "", advice: str = "",
             problems: Sequence[Problem] = ()) -> dict[str, Any]:
    """Return an error document."""
    first = {"code": code, "message": redact(message), "field": field, "advice": advice}
    return {"error": first, "problems": [_shown(p) for p in problems]}


def _shown(problem: Problem) -> dict[str, str]:
    return {**problem.document(), "message": redact(problem.message)}


def _config_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ConfigError)
    first = error.problems[0]
    body = document(first.code, first.message, field=first.field, advice=first.advice,
                    problems=error.problems)
    return JSONResponse(body, 422)


def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RunError | DatasetError | ModelError | TemplateError
                      | RecordError | EngineError)
    default = 409 if isinstance(error, RunError) else 422
    message, advice = message_and_advice(error)
    return JSONResponse(document(error.code, message, advice=advice),
                        STATUS.get(error.code, default))


def _bad_request(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    problems = []
    for item in error.errors():
        path = ".".join(str(part) for part in item["loc"] if part not in {"body", "query", "path"})
        problems.append(Problem(field=path, code=item["type"], message=item["msg"] + ".",
                                advice="See /api/openapi.json."))
    first = problems[0]
    return JSONResponse(document(first.code, first.message, field=first.field,
                                 advice=first.advice, problems=problems), 422)


def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = HTTP_CODES.get(error.status_code, "http")
    return JSONResponse(document(code, str(error.detail)), error.status_code, error.headers)


def _disk(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, OSError)
    return JSONResponse(document("disk", f"The server's disk said: {error.strerror or error}.",
                                 advice="Free some space, or look at the folder's rights."), 507)


def _internal(request: Request, error: Exception) -> JSONResponse:
    """Answer what nobody foresaw; the server's own log has the trace, the answer has not."""
    return JSONResponse(document("internal", f"Something went wrong ({type(error).__name__}).",
                                 advice="Look at the server's log, and report it."), 500)


def install(api: FastAPI) -> None:
    """Register a handler for every error that a route may raise on purpose."""
    api.add_exception_handler(ConfigError, _config_error)
    for kind in (RunError, DatasetError, ModelError, TemplateError, RecordError, EngineError):
        api.add_exception_handler(kind, _refused)
    api.add_exception_handler(RequestValidationError, _bad_request)
    api.add_exception_handler(HTTPException, _http)
    api.add_exception_handler(OSError, _disk)
    api.add_exception_handler(Exception, _internal)
