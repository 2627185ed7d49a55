"""The dashboard of a W&B project, made by program; the only importer of wandb_workspaces."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from src.files.whole import read_json
from src.runs.mirror import TABLE, wandb_api

TRAINING = ["train/loss", "val/loss"]


def mirrored_scores(root: Path) -> list[str]:
    """The scores that finished runs below `root` have in their summaries, text first, then identity, then others."""
    names: dict[str, None] = {}
    for path in sorted(root.glob("*/*/summary.json")):
        if (path.parent / "scores.csv").exists():
            names |= {name: None for name in read_json(path) if "/" in name or name == "face_found"}
    order = ("text/", "identity/", "")
    return sorted(names, key=lambda name: next(i for i, start in enumerate(order) if name.startswith(start)))


def dashboard(
    *, entity: str, project: str, name: str, scores: Sequence[str], group: str | None, tags: Sequence[str]
) -> Any:
    """A workspace with sections for scores, pictures, the comparison of runs, and training.

    scores: names in the runs' summaries. group, tags: only runs of this group and with one of these tags are shown;
    None and [] show all. Runs are grouped by what they computed (job type). ValueError without a score.
    """
    import wandb_workspaces.reports.v2 as wr  # takes a second
    import wandb_workspaces.workspaces as ws

    if not scores:
        raise ValueError(
            "a dashboard needs scores: name some (scores=[text/...,identity/...]), or runs that were judged"
        )
    filters = [ws.Metric("Group") == group] if group else []
    filters += [ws.Tags().isin(list(tags))] if tags else []
    sections = [
        ws.Section(name="Scores", panels=[*_scatters(scores), *_bars(scores)], is_open=True),
        ws.Section(
            name="Pictures",
            panels=[
                wr.MediaBrowser(media_keys=["pictures"], mode="grid", grid_x_axis="run", grid_y_axis="index"),
                wr.WeavePanelSummaryTable(table_name=TABLE),
            ],
            is_open=True,
        ),
        ws.Section(name="Runs compared", panels=[wr.RunComparer(diff_only="split")], is_open=True),
        ws.Section(name="Training", panels=[wr.LinePlot(title=key, x="step", y=[key]) for key in TRAINING]),
    ]
    runset = ws.RunsetSettings(
        filters=filters,
        groupby=[ws.Metric("JobType")],
        order=[ws.Ordering(ws.Metric("CreatedTimestamp"), ascending=False)],
        pinned_columns=["run:displayName", *(f"summary:{score}" for score in scores[:8])],
    )
    return ws.Workspace(entity=entity, project=project, name=name, sections=sections, runset_settings=runset)


def _scatters(scores: Sequence[str]) -> list[Any]:
    """Identity against text: every judge of text with the first of identity, and the other way round."""
    import wandb_workspaces.reports.v2 as wr

    text, identity = ([name for name in scores if name.startswith(kind)] for kind in ("text/", "identity/"))
    pairs = dict.fromkeys([(x, y) for x in text for y in identity[:1]] + [(x, y) for x in text[:1] for y in identity])
    summary = wr.SummaryMetric
    return [wr.ScatterPlot(title=f"{y} against {x}", x=summary(x), y=summary(y)) for x, y in pairs]


def _bars(scores: Sequence[str]) -> list[Any]:
    import wandb_workspaces.reports.v2 as wr

    return [wr.BarPlot(title=name, metrics=[name], orientation="h") for name in scores]


def described(workspace: Any) -> dict[str, Any]:
    """What W&B would be sent, as plain data."""
    return workspace._to_model().model_dump(mode="json", by_alias=True, exclude_none=True)


def send(workspace: Any) -> str:
    """Create the workspace on W&B's server and return its address. OSError if W&B doesn't take it."""
    with wandb_api(f"W&B does not take the dashboard of {workspace.entity}/{workspace.project}"):
        return str(workspace.save().url)
