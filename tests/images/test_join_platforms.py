"""Of what each platform's job has pushed, the publishing workflow makes one image, in a real registry."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.paths import ROOT

SCRIPT = ROOT / ".github" / "scripts" / "join_platforms.sh"


def test_one_name_leads_to_the_image_of_each_platform(registry: str, tmp_path: Path) -> None:
    name = f"{registry}/joined/worker:1-s3"
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    for architecture in ("amd64", "arm64"):
        command = ["docker", "buildx", "build", "--quiet", "--provenance=false", "--load"]
        command += [f"--platform=linux/{architecture}", f"--tag={name}-{architecture}", str(tmp_path)]
        subprocess.run(command, check=True, capture_output=True)
        subprocess.run(["docker", "push", "--quiet", f"{name}-{architecture}"], check=True, capture_output=True)
        subprocess.run(["docker", "image", "rm", f"{name}-{architecture}"], check=True, capture_output=True)
    tags = [name, f"{registry}/joined/worker:s3"]
    done = subprocess.run(
        ["bash", str(SCRIPT), name, "amd64", "arm64"], input="\n".join(tags) + "\n", text=True, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    for tag in tags:
        shown = subprocess.run(
            ["docker", "buildx", "imagetools", "inspect", "--raw", tag], check=True, capture_output=True, text=True
        )
        platforms = [manifest["platform"] for manifest in json.loads(shown.stdout)["manifests"]]
        assert [item["architecture"] for item in platforms] == ["amd64", "arm64"]
