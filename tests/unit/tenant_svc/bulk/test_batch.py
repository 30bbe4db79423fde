"""The refusal of a batch reads as sentences, whatever the first fault is."""

from __future__ import annotations

import pytest

from tenantmesh.interceptors.errors import FieldViolation, InvalidArgument, MeshError
from tenantmesh.tenant_svc.bulk.batch import refused
from tenantmesh.tenant_svc.tenants.refusals import slug_taken

WRONG = InvalidArgument.fields([FieldViolation("locale", "must be a language")])


@pytest.mark.parametrize(
    ("errors", "sentence"),
    [
        ({0: WRONG, 1: slug_taken()}, " requests[0].locale: must be a language. Correct or leave out these items"),
        ({3: slug_taken()}, " Choose another. Correct or leave out these items"),
    ],
)
def test_the_refusal_of_a_batch_is_made_of_sentences(errors: dict[int, MeshError], sentence: str) -> None:
    assert sentence in refused(errors).message
