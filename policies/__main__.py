"""Where the engine starts the pack; the constructor serves until the engine is done."""

import sys
from pathlib import Path

from pulumi_policy import PolicyPack

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the engine runs the folder, which is our package

from policies.pack import policies
from policies.rules import RULES

PolicyPack("bluegreen", policies(RULES))
