"""The mutations still speak of the code as it is."""

import pytest

from tests.chaos.mutations import MUTATIONS
from tests.scenarios.house import ROOT


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_each_mutation_fits_once(mutation):
    for change in mutation.changes:
        assert (ROOT / change.path).read_text().count(change.old) == 1, change.path
    for tests in mutation.tests:
        assert (ROOT / tests.partition("::")[0].split()[0]).exists(), tests
