"""What a setting may be is what there is."""

from src.harness.settings.schema import STAGES
from src.harness.world_stages import STAGES as MADE


def test_every_stage_of_the_world_can_be_asked_for():
    assert set(STAGES) == {*MADE, "all"}
