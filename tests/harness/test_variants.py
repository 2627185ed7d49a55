"""Variants are made once, and what is learned from is what was stored."""

import torch

from src.harness.variants import kept_variants


def some_variants(number=3):
    return torch.rand(number, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_variants_are_made_once_and_read_from_their_files(tmp_path):
    calls = []

    def make():
        calls.append(1)
        return some_variants()

    first, second = (kept_variants(tmp_path / "7", 16, make) for _ in range(2))
    assert calls == [1]
    assert torch.equal(first, second)
    torch.testing.assert_close(first, some_variants(), atol=1 / 127.5, rtol=0)
    assert (tmp_path / "7" / "sheet.png").exists()


def test_an_interrupted_making_is_done_again(tmp_path):
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "000.png").write_bytes(b"half")
    assert kept_variants(tmp_path / "7", 16, some_variants).shape == (3, 3, 16, 16)
