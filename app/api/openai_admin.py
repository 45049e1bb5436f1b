"""What an admin sets up for /v1: keys for programs, and endpoints that others run."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from app.api.deps import UserDep, only_admin
from app.apikeys import DEFAULT_SCOPES, KeyRing
from app.serving.endpoints import EndpointBook


def get_keys(request: Request) -> KeyRing:
    """Return the keys that the guard looks at."""
    keys = request.app.state.keys
    assert isinstance(keys, KeyRing)
    return keys


def get_endpoints(request: Request) -> EndpointBook:
    """Return the endpoints that the gateway looks at."""
    endpoints = request.app.state.endpoints
    assert isinstance(endpoints, EndpointBook)
    return endpoints


KeysDep = Annotated[KeyRing, Depends(get_keys)]
EndpointsDep = Annotated[EndpointBook, Depends(get_endpoints)]
router = APIRouter(dependencies=[Depends(only_admin)])


class NewKey(BaseModel):
    """A key to make."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(max_length=64)]
    scopes: Annotated[list[str], Field(max_length=10)] = list(DEFAULT_SCOPES)


class NewEndpoint(BaseModel):
    """A server to save."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(max_length=64)]
    base_url: Annotated[str, Field(max_length=2000)]
    models: Annotated[list[str], Field(max_length=1000)]
    key: Annotated[str, Field(max_length=4096)] = ""


@router.get("/keys")
def list_keys(keys: KeysDep) -> dict[str, Any]:
    """List the keys, revoked ones too; no secrets."""
    return {"keys": keys.documents()}


@router.post("/keys", status_code=201)
def create_key(body: NewKey, keys: KeysDep, user: UserDep) -> dict[str, Any]:
    """Make a key; ``key`` is its secret and is never shown again."""
    key, secret = keys.create(body.name, body.scopes, who=user)
    return {"key": secret, **key.document(None)}


@router.delete("/keys/{key_id}", status_code=204, response_class=Response)
def revoke_key(key_id: str, keys: KeysDep, user: UserDep) -> Response:
    """Let a key open nothing from now on."""
    keys.revoke(key_id, who=user)
    return Response(status_code=204)


@router.get("/endpoints")
def list_endpoints(endpoints: EndpointsDep) -> dict[str, Any]:
    """List the saved endpoints; their keys are not shown."""
    return {"endpoints": [one.document() for one in endpoints.all()]}


@router.post("/endpoints", status_code=201)
def add_endpoint(body: NewEndpoint, endpoints: EndpointsDep, user: UserDep) -> dict[str, Any]:
    """Save an endpoint; its models can be asked at once as NAME/MODEL."""
    return endpoints.add(body.name, body.base_url, body.models, key=body.key,
                                who=user).document()


@router.delete("/endpoints/{name}", status_code=204, response_class=Response)
def remove_endpoint(name: str, endpoints: EndpointsDep, user: UserDep) -> Response:
    """Forget an endpoint and its key."""
    endpoints.remove(name, who=user)
    return Response(status_code=204)
