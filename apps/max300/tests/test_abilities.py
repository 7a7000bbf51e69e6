import pytest

from allye_max300.abilities import HasEvents, HasHeartbeat, HasReversionTimer


@pytest.mark.parametrize("ability", [HasEvents, HasHeartbeat, HasReversionTimer])
def test_an_ability_is_told_by_its_methods(bench, ability: type) -> None:
    assert isinstance(bench.open(), ability)
    assert not isinstance(object(), ability)
