"""`make demo` tells what happened: here with three requests broken on purpose, it has to say three, and fail."""

import json
import subprocess
import sys
from pathlib import Path

from sandbox.demo_story import scenes
from sandbox.stack import ROOT


def test_the_demo_plays_its_whole_story_and_counts_what_was_broken_on_purpose(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sandbox.demo", "--inject", "3", "--reports", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    lines = done.stdout.splitlines()
    assert [line for line in lines if line[0:1] == "▶"] == ["▶ bootstrap", *(f"▶ {scene.name}" for scene in scenes())]
    assert len([line for line in lines if line.startswith("  ✓ ")]) == len(scenes()) + 1
    assert (report["total"]["failed"], report["failures"]) == (3, {"status 503": 3})
    assert [row["failed"] for row in report["phases"] if row["name"] == "shift to green"] == [3]
    assert report["total"]["wrong_colour"] == 0
    assert report["total"]["requests"] == report["proxied"] > 5000
    assert report["slow_gap_seconds"] == {"backend": 0.0}
    assert done.returncode == 1
    assert "✗" not in done.stdout
