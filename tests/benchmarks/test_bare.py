"""The benchmark of learning: what is bare of a step, and its page."""

import json

import pytest
import torch
from torch import nn

from src import bench
from src.benchmarks.finetune import clocked, medians


def test_networks_and_backward_passes_are_bare_and_what_lies_between_is_not(monkeypatch):
    now = [0.0]

    class Slow(nn.Linear):
        """Takes two seconds of a clock that nothing else moves, and is called by a network that takes one more."""

        def forward(self, x):
            now[0] += 2
            return super().forward(x)

    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = Slow(2, 2)

        def forward(self, x):
            now[0] += 1
            return self.inner(x)

    monkeypatch.setattr("src.benchmarks.finetune.waited", lambda device: now[0])
    net, x, backward = Outer(), torch.ones(1, 2), torch.Tensor.backward
    with clocked(torch.device("cpu")) as clock:
        for _ in range(4):
            loss = net(x).sum() + net(x).sum()
            loss.register_hook(lambda gradient: now.__setitem__(0, now[0] + 5))
            loss.backward()
            now[0] += 3
    # a step: two networks of 3 s, each counted once whatever it calls, a backward pass of 5 s, and 3 s between
    assert clock.steps() == {"steps": 4, "step": 14_000, "bare": 11_000}
    assert torch.Tensor.backward is backward
    net(x).sum().backward()  # nobody watches any more
    assert clock.bare == 44 and len(clock.marks) == 4


def test_what_takes_no_steps_has_no_ratio():
    with clocked(torch.device("cpu")) as clock:
        nn.Linear(2, 2)(torch.ones(1, 2))
    row = medians([{"seconds": 1.0, **clock.steps()}])
    assert (row["steps"], row["step"], row["bare"], row["ratio"]) == (0, None, None, None)
    rounds = [{"steps": 9, "step": step, "bare": 10.0} for step in (11.0, 30.0, 12.0)]
    assert medians(rounds) == {"steps": 9, "step": 12.0, "bare": 10.0, "ratio": 1.2}


def test_a_person_is_learned_by_each_method_and_a_page_says_what_it_took(tmp_path, monkeypatch, capsys):
    short = {
        "profusion": ["method.finetune.steps=3", "method.finetune.batch=1"],
        "textual_inversion": ["method=tiny_textual_inversion", "method.steps=2", "method.batch=1"],
        "prompt_only": ["method=prompt_only"],
    }
    methods = [f"methods.{name}={json.dumps(own)}" for name, own in short.items()]
    monkeypatch.chdir(tmp_path)
    words = ["src.bench", "finetune", *methods, "methods.dreambooth=null", "methods.e4t=null", "repeats=1", "out=made"]
    monkeypatch.setattr("sys.argv", [*words, "device=cpu"])
    bench.main()
    found = json.loads((tmp_path / "made" / "finetune.json").read_text())
    rows = {row["method"]: row for row in found["rows"]}
    assert {name: row["steps"] for name, row in rows.items()} == {
        "profusion": 3,
        "textual_inversion": 2,
        "prompt_only": 0,
    }
    assert rows["prompt_only"]["ratio"] is None and rows["prompt_only"]["megabytes"] == 0
    assert all(row["ratio"] >= 1 for name, row in rows.items() if name != "prompt_only")
    assert rows["profusion"]["together"] > rows["prompt_only"]["together"] >= 0
    assert rows["profusion"]["megabytes"] > 1 > rows["textual_inversion"]["megabytes"]
    page = (tmp_path / "made" / "finetune.md").read_text()
    assert "textual_inversion" in page and "page: made/finetune.md" in capsys.readouterr().out
    assert not list((tmp_path / "runs").rglob("*.safetensors"))


def test_no_method_is_refused(tmp_path, monkeypatch):
    none = [f"methods.{name}=null" for name in ("prompt_only", "profusion", "textual_inversion", "dreambooth", "e4t")]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["src.bench", "finetune", *none])
    with pytest.raises(SystemExit, match="must name at least one"):
        bench.main()
