"""Which line of a manifest claims which key."""

from pathlib import Path

from imgrelay_dagster.relay.outcomes import Record
from imgrelay_dagster.relay.planning.key_claims import Claim, KeyClaims


def claim(line: int, *, key: str = "k", fingerprint: str = "ab", part: int = 0) -> Claim:
    return Claim.of(Record(line, f"http://host/{line}.jpg", key=key, fingerprint=fingerprint, part=part))


def test_the_first_claim_of_a_key_wins(tmp_path: Path):
    with KeyClaims(tmp_path / "claims.db") as claims:
        assert claims.get("k") is None
        assert claims.claim("k", claim(1)) is None
        assert claims.claim("other", claim(2)) is None
        assert claims.claim("k", claim(3, part=2)) == claim(1)
        assert claims.get("k") == claim(1)
    assert not (tmp_path / "claims.db").exists()


def test_lines_with_the_same_key_and_fingerprint_share_an_image():
    assert claim(1).is_same_image(claim(2))
    assert not claim(1).is_same_image(claim(2, fingerprint="cd"))
    assert not claim(1).is_same_image(claim(2, key="other"))
