"""The YAML of docs/collector.md for several workers, as files that a test can run."""

from pathlib import Path

from markdown_pages import ROOT, page

__all__ = ["SHOWN_PORT", "write_workers"]

SHOWN_PORT = 4319
_COLLECTOR = page(ROOT / "docs" / "collector.md")


def write_workers(folder: Path, port: int = SHOWN_PORT, more: str = "") -> tuple[Path, Path]:
    """Write both blocks as files, with the workers' ports; return the gate's and the collector's.

    The gate's other addresses come from the stack, as in config/gate.yaml. `more` is added to it.
    """
    texts = []
    for name in ("gate.yaml", "workers.yaml"):
        text = _shown(name).replace(f":{SHOWN_PORT + 1}", f":{port + 1}")
        texts.append(text.replace(f":{SHOWN_PORT}", f":{port}"))
    texts[0] += "downstream: {endpoint: '${env:TAPELINE_DOWNSTREAM:-127.0.0.1:14317}'}\n"
    texts[0] += "admin: {listen: '${env:TAPELINE_ADMIN:-127.0.0.1:8090}'}\n"
    texts[0] += more
    paths = (folder / "gate.yaml", folder / "workers.yaml")
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text, encoding="utf-8")
    return paths


def _shown(name: str) -> str:
    """Return the YAML block that begins with this file's name."""
    (block,) = [b for b in _COLLECTOR.blocks if b.language == "yaml" and b.lines[0] == f"# {name}"]
    return block.text
