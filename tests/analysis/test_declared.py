"""What a study declares of its tasks and scores: a control task, further methods."""

import pytest
from made_maps import named, noise

from reportgen.analysis.analyze import analyze
from reportgen.analysis.view import Settings
from reportgen.errors import InputError


def test_a_control_task_must_exist() -> None:
    with pytest.raises(InputError) as caught:
        analyze(named(noise(0, (2, 4, 4))), Settings(control="Neutral"))
    assert str(caught.value) == "[tasks] control: no task is called 'Neutral'. The tasks are: Task 0, Task 1."


def test_methods_that_scored_other_heads_are_refused() -> None:
    with pytest.raises(InputError, match="activation_norm scored other heads or tasks than unknown"):
        analyze(named(noise(0, (2, 4, 4))), others={"activation_norm": named(noise(0, (2, 4, 5)))})
