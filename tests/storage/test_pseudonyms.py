"""Pseudonyms are the same in a store, others elsewhere, and their key is nobody else's."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from curette.storage.pseudonyms import Pseudonyms


def test_one_id_has_one_pseudonym_in_a_store_and_another_elsewhere(tmp_path: Path) -> None:
    here, again, there = (Pseudonyms(tmp_path / name) for name in ("a", "a", "b"))
    assert here.of("subject", "MRN-1") == again.of("subject", "MRN-1")
    assert here.of("subject", "MRN-1") != there.of("subject", "MRN-1")
    assert here.of("subject", "MRN-1") != here.of("lesion", "MRN-1").replace("lesion", "subject")
    assert here.of("subject", "MRN-1") != here.of("subject", "MRN-2")
    assert "MRN" not in here.of("subject", "MRN-1")


def test_nobody_but_the_owner_reads_the_key(tmp_path: Path) -> None:
    Pseudonyms(tmp_path).of("subject", "x")
    key = tmp_path / "keys" / "pseudonyms"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    assert len(key.read_bytes()) == 32


def test_many_that_start_together_take_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: Pseudonyms(tmp_path).of("subject", "x"), range(32)))
    assert len(set(found)) == 1
