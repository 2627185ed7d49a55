"""`python -m src.dashboard`: what it would create."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from src import dashboard

ROOT = Path(__file__).parents[1]


def written(printed: str) -> dict:
    return json.loads(Path(printed.partition("written: ")[2].split("\n")[0]).read_text())


def sections(view: dict) -> dict[str, list[dict]]:
    return {s["name"]: s["panels"] for s in view["spec"]["section"]["panelBankConfig"]["sections"] if s["panels"]}


def test_offline_it_writes_sections_for_the_scores_of_the_runs(typed, made, tmp_path):
    (tmp_path / "runs").symlink_to(made["full"].parents[1])
    status, printed, complaint = typed(dashboard, "project=demo", "entity=me", "group=made", "tags=[method]")
    assert status == 0, complaint
    assert "nothing was sent" in printed
    view = written(printed)
    assert (view["entity"], view["project"]) == ("me", "demo")
    found = sections(view)
    assert list(found)[:4] == ["Scores", "Pictures", "Runs compared", "Training"]
    axes = [p["config"] for p in found["Scores"] if p["viewType"] == "Scatter Plot"]
    assert {(axis["xAxis"], axis["yAxis"]) for axis in axes} == {
        ("summary:text/a", "summary:identity/c"),
        ("summary:text/b", "summary:identity/c"),
    }
    bars = [p["config"]["metrics"] for p in found["Scores"] if p["viewType"] == "Bar Chart"]
    assert [metric for (metric,) in bars] == ["text/a", "text/b", "identity/c", "face_found"]
    kinds = {name: [panel["viewType"] for panel in panels] for name, panels in found.items()}
    assert kinds["Runs compared"] == ["Run Comparer"]
    assert "Media Browser" in kinds["Pictures"]
    filters = json.dumps(view["spec"]["section"]["runSets"][0]["filters"])
    assert '"made"' in filters
    assert '"method"' in filters


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], ["needs scores", "runs that were judged"]),
        (["mode=moon"], ["mode (moon)", "offline, online"]),
        (["mode=online", "scores=[text/a]"], ["entity is not given"]),
        (["projekt=x"], ["projekt", "project"]),
    ],
)
def test_bad_input_ends_with_one_sentence(typed, words, said):
    status, _, complaint = typed(dashboard, *words)
    assert status == 1
    assert complaint.startswith("error: ")
    assert all(word in complaint for word in said), complaint


def test_online_without_a_login_ends_with_one_sentence(tmp_path):
    env = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    env |= {"HOME": str(tmp_path), "NETRC": str(tmp_path / "netrc")}
    words = ["project=p", "entity=me", "mode=online", "scores=[text/a]", f"runs={tmp_path / 'runs'}"]
    command = [sys.executable, "-m", "src.dashboard", *words]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "does not take the dashboard of me/p" in done.stderr
    assert "wandb login" in done.stderr
    assert "Traceback" not in done.stderr
