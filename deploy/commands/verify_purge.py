"""`tenantmesh verify-purge`: says whether a file proves that a tenant was destroyed. With keys in a file it needs no
mesh."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tenantmesh.deploy.commands.console import Console
from tenantmesh.deploy.commands.edge_access import edge_of
from tenantmesh.deploy.commands.options import DEFAULT_STATE, StateOption
from tenantmesh.deploy.stack.errors import StackError
from tenantmesh.interceptors.public_keys import readable_keys
from tenantmesh.tenant_svc.purges.proof import BadProof, read_proof
from tenantmesh.tenant_svc.purges.signature import BadSignature, verify

__all__ = ["verify_purge"]

_LONGEST = 4 * 1024 * 1024
_SECONDS = 10.0
_KEYS_PATH = "/api/v1/purge-keys"


@dataclass(slots=True)
class _PublicKey:
    """A member of a key set. What is no text counts as absent."""

    kid: str
    kty: str
    crv: str
    alg: str
    use: str
    x: str

    @classmethod
    def of(cls, member: Any) -> _PublicKey:
        texts = {name: member.get(name) for name in cls.__slots__} if isinstance(member, dict) else {}
        return cls(**{name: text if isinstance(text := texts.get(name), str) else "" for name in cls.__slots__})


def verify_purge(
    file: Annotated[Path, typer.Argument(help="The answer of GET /api/v1/purges/{tenant_id}, as a file.")],
    keys: Annotated[
        str,
        typer.Option(
            help=f"The answer of GET {_KEYS_PATH}: a file that you have kept, or the address of a mesh. Empty: "
            "those of the stack that runs here."
        ),
    ] = "",
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Say whether a file proves that a tenant was destroyed, and what was destroyed. Exit code 0: it does; 1: it does
    not, or can't be read."""
    purge = _json(_read(file), str(file))
    text, signature = _purge_in(purge, file)
    try:
        kid = verify(text, signature, _keys_at(keys or _mesh_here(state)))
        proof = read_proof(text)
        _compare(purge, {"tenantId": proof["tenant_id"], "operation": proof["operation"], "keyId": kid})
    except (BadSignature, BadProof) as error:
        raise StackError(
            f"{file} proves nothing: {error}.",
            remedy=f"Fetch the purge again, and the keys of the mesh that signed it: GET {_KEYS_PATH}",
        ) from error
    _tell(Console(), proof, kid)


def _purge_in(value: Any, file: Path) -> tuple[bytes, str]:
    purge = value if isinstance(value, dict) else {}
    text, signature = purge.get("proof"), purge.get("signature")
    if not isinstance(text, str) or not isinstance(signature, str) or not text or not signature:
        raise StackError(
            f"{file} has no proof and signature in it.",
            remedy="Save the whole answer of GET /api/v1/purges/{tenant_id}, as it came.",
        )
    return text.encode("utf-8", "surrogatepass"), signature


def _compare(purge: Mapping[str, Any], signed: Mapping[str, str]) -> None:
    """Raise BadProof when a member that nothing has signed says something else than the proof beside it."""
    for name, value in signed.items():
        if purge.get(name, value) != value:
            raise BadProof(f"its {name} is not that of the proof, which is {value}")


def _mesh_here(state: Path) -> str:
    """Return the address of the mesh that runs here. Raises StackError without one: keys can be named instead."""
    try:
        return edge_of(state)
    except StackError as error:
        raise StackError(error.message, remedy="Name the keys that you have kept: --keys purge-keys.json") from error


def _keys_at(place: str) -> Mapping[str, Ed25519PublicKey]:
    remote = place.startswith(("http://", "https://"))
    value = _json(_fetched(place) if remote else _read(Path(place)), place)
    members = value.get("keys") if isinstance(value, dict) else None
    if not isinstance(members, list):
        raise StackError(
            f"{place} holds no key set.", remedy=f"Save the answer of GET {_KEYS_PATH}, or name its address."
        )
    good, bad = readable_keys([_PublicKey.of(member) for member in members])
    if not good:
        problems = "; ".join(f"{kid or 'one'} {problem}" for kid, problem in bad.items())
        raise StackError(f"{place} has no key that can verify anything. {problems}")
    return good


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_LONGEST + 1)
    except OSError as error:
        raise StackError(f"{path} can't be read: {error.strerror}.") from error
    if len(data) > _LONGEST:
        raise StackError(f"{path} is larger than any proof or key set.")
    return data


def _fetched(address: str) -> bytes:
    """Return what is at the address: a mesh's, or that of its key set."""
    place = urlsplit(address)
    kind = http.client.HTTPSConnection if place.scheme == "https" else http.client.HTTPConnection
    path = place.path if place.path not in {"", "/"} else _KEYS_PATH
    try:
        with closing(kind(place.hostname or "", place.port, timeout=_SECONDS)) as connection:
            connection.request("GET", path, headers={"accept": "application/json"})
            answer = connection.getresponse()
            data = answer.read(_LONGEST)
    except (OSError, http.client.HTTPException, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise StackError(f"{address} can't be asked for its keys: {why}.") from error
    if answer.status != http.client.OK:
        raise StackError(f"{address} answers {answer.status} instead of a key set.")
    return data


def _json(data: bytes, place: str) -> Any:
    try:
        return json.loads(data, object_pairs_hook=partial(_members, place=place))
    except (ValueError, RecursionError) as error:
        raise StackError(
            f"{place} is no JSON: it may be cut off, or of another kind.", remedy="Fetch it again, as it comes."
        ) from error


def _members(pairs: list[tuple[str, Any]], *, place: str) -> dict[str, Any]:
    """Return the members of an object. Of two alike, programs read either one."""
    members = dict(pairs)
    if len(members) < len(pairs):
        raise StackError(f"{place} has a member twice in one object.", remedy="Fetch it again, as it comes.")
    return members


def _tell(console: Console, proof: Mapping[str, Any], kid: str) -> None:
    requested = proof["requested"]
    console.title(f"Tenant {proof['tenant_id']} was destroyed.")
    console.table(
        ("", ""),
        [
            ("signature", f"good, by the key {kid}"),
            ("destroyed", proof["purge_time"]),
            ("asked for", f"{requested['time']} by {requested['actor'] or 'the mesh'} ({requested['reason']})"),
            ("operation", proof["operation"]),
            ("product", f"{proof['product']['name']} {proof['product']['version']}"),
        ],
    )
    console.plain()
    amounts = [(each.get("table") or each["name"], each["before"], each["after"]) for each in _amounts(proof)]
    console.table(("what", "before", "after"), amounts)
    console.plain()
    console.table(("kept", "why"), [(each["what"], each["why"]) for each in proof["kept"]])


def _amounts(proof: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [*proof["tables"], *proof["others"]]
