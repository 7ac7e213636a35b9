"""Installing: how many distributions a plain install brings, and how large they are.

Makes an empty environment in a temporary folder and installs the project into it, so it
needs a package index.

    python benchmarks/install.py
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib.metadata import distributions
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Print the count, the size, and the largest."""
    with tempfile.TemporaryDirectory() as folder:
        environment = Path(folder) / "env"
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
        python = environment / "bin" / "python"
        pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", str(ROOT)], check=True)
        packages = next((environment / "lib").glob("python*/site-packages"))
        sizes = {}
        for distribution in distributions(path=[str(packages)]):
            name = distribution.metadata["Name"]
            if name in ("pip", "setuptools"):
                continue
            paths = [Path(str(file.locate())) for file in distribution.files or ()]
            sizes[name] = sum(path.stat().st_size for path in paths if path.is_file())
        total = sum(sizes.values())
        print(f"{len(sizes)} distributions, {total / 1e6:.0f} MB")
        for name, size in sorted(sizes.items(), key=lambda item: -item[1])[:8]:
            print(f"  {name:<16}{size / 1e6:>6.1f} MB")


if __name__ == "__main__":
    main()
