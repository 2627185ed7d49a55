"""What judges refuse before anything is learned, drawn or scored: prompts too long for them, photos without a face."""

from collections.abc import Collection, Mapping, Sequence

from torch import Tensor

from src.metrics.judge import Judge, TextJudge


def check_lengths(judges: Sequence[TextJudge], prompts: Sequence[str]) -> None:
    """Before anything is scored: ValueError names the prompts of which a text judge would read the beginning alone."""
    asked = list(dict.fromkeys(prompts))
    cut = {judge.name: judge.too_long(asked) for judge in judges if hasattr(judge, "too_long")}
    wrong = {prompt: [name for name, several in cut.items() if prompt in several] for prompt in asked}
    listed = [f'"{prompt}" (for {", ".join(names)})' for prompt, names in wrong.items() if names]
    if listed:
        raise ValueError(
            f"{len(listed)} prompt(s) are too long for a judge, which would not read their ends: {'; '.join(listed)}; "
            "shorten them, or leave these judges out"
        )


def refuse_faceless(judge: str, photos: Sequence[str]) -> None:
    """ValueError names the reference photos in which a judge finds no face to compare with, if there are any."""
    if photos:
        names = ", ".join(dict.fromkeys(photos))
        raise ValueError(f"{judge} finds no face in the photo(s) {names}: give others, or leave this judge out")


def look_at_photos(
    judges: Sequence[Judge], photos: Mapping[str, Tensor], compared: Collection[str] | None = None
) -> list[str]:
    """What identity judges find in reference photos, name -> uint8 [3, H, W], before anything is learned from them.

    Returns what is to be said: several faces, or none. compared: the photos that images are compared with, None: all.
    ValueError names those of them that show a judge no face.
    """
    notes: list[str] = []
    for judge in judges if photos else ():
        vectors, faces = judge.see(list(photos.values()))
        judge.release()
        nothing = dict(zip(photos, vectors.isnan().any(-1).tolist(), strict=True))
        refuse_faceless(judge.name, [n for n in photos if nothing[n] and (compared is None or n in compared)])
        notes += face_notes(judge.name, dict(zip(photos, faces.tolist(), strict=True)))
    return notes


def face_notes(judge: str, faces: Mapping[str, int]) -> list[str]:
    """What is to be said of a judge's numbers of faces in reference photos: every number but one."""
    words = {0: "no face in {}: it is compared as it is, if at all", 1: ""}
    lines = {name: words.get(int(n), f"{int(n)} faces in {{}}: the largest is taken") for name, n in faces.items()}
    return [f"{judge} finds {line.format(name)}" for name, line in lines.items() if line]
