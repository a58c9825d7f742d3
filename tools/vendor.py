"""Fetch the scripts that built pages need, so that they load nothing from another host.

    python tools/vendor.py           fetch and unpack into book/_static/vendor
    python tools/vendor.py --check   only compare the files there with the ones published

Versions are pinned here, and the archives are compared with npm's sha512 sums.
"""

import argparse
import base64
import hashlib
import io
import sys
import tarfile
import urllib.request
from pathlib import Path

VENDOR = Path(__file__).resolve().parents[1] / "book" / "_static" / "vendor"
FONTS = "package/es5/output/chtml/fonts/woff-v2/"

# Address of the archive on npm, its sha512, and what to keep: path inside -> path under VENDOR.
# A path that ends in / keeps the whole folder.
PACKAGES = [
    (
        "https://registry.npmjs.org/@jupyter-widgets/html-manager/-/html-manager-1.0.15.tgz",
        "5thBIV6ymNgmPVOHvzx+gGy8ZSKmSazhtGw4/c4xJDVzRhG9PTeQsRjF3FUTopvFi//SABeNz1yp47bCrJ3CQA==",
        {
            "package/dist/embed.js": "embed.js",
            "package/dist/embed.js.LICENSE.txt": "embed.js.LICENSE.txt",
            # Its icons' fonts (Font Awesome), under the names that embed.js asks for.
            "package/dist/d878b0a6a1144760244f.woff2": "d878b0a6a1144760244f.woff2",
            "package/dist/1551f4f60c37af51121f.woff2": "1551f4f60c37af51121f.woff2",
            "package/dist/7a3337626410ca2f4071.woff2": "7a3337626410ca2f4071.woff2",
        },
    ),
    (
        "https://registry.npmjs.org/mathjax/-/mathjax-3.2.2.tgz",
        "Bt+SSVU8eBG27zChVewOicYs7Xsdt40qm4+UpHyX7k0/O9NliPc+x77k1/FEsPsjKPZGJvtRZM1vO+geW0OhGw==",
        {
            "package/es5/tex-chtml-full.js": "mathjax/tex-chtml-full.js",
            FONTS: "mathjax/output/chtml/fonts/woff-v2/",
            "package/LICENSE": "mathjax/LICENSE",
        },
    ),
]


def fetch(url: str, sha512: str) -> dict[str, bytes]:
    """Every file of the archive at ``url``. Raises SystemExit if its sum is not ``sha512``."""
    with urllib.request.urlopen(url, timeout=60) as answer:
        archive = answer.read()
    found = base64.b64encode(hashlib.sha512(archive).digest()).decode()
    if found != sha512:
        sys.exit(f"{url}: the sha512 is {found}, not the pinned {sha512}")
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar.getmembers() if m.isfile()}


def wanted() -> dict[Path, bytes]:
    """Every vendored file's place and content, as published."""
    files = {}
    for url, sha512, keep in PACKAGES:
        for name, content in fetch(url, sha512).items():
            for source, target in keep.items():
                if name == source or (source.endswith("/") and name.startswith(source)):
                    files[VENDOR / (target + name[len(source) :])] = content
    return files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--check", action="store_true", help="change nothing; exit 1 on differences"
    )
    check = parser.parse_args().check
    for path, content in wanted().items():
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        elif not path.exists() or path.read_bytes() != content:
            sys.exit(f"{path.relative_to(VENDOR)} is not the published file: run tools/vendor.py")
    print("the vendored files are the published ones" if check else f"wrote {VENDOR}")


if __name__ == "__main__":
    main()
