"""Committed notebooks show what the code gives today: numbers to the letter, pictures in outline."""

import base64
import io
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from PIL import Image

pytestmark = pytest.mark.exhaustive  # a minute for all of them

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
OF_A_PAIR = FOLDER / "06_checkpoints.ipynb"  # the outputs of both are of downloaded models
OF_WEIGHTS = FOLDER / "08_weights.ipynb"
OTHERS = [path for path in NOTEBOOKS if path not in (OF_A_PAIR, OF_WEIGHTS)]


def executed(path, folder):
    notebook = nbformat.read(path, as_version=4)
    settings = {"metadata": {"path": str(folder)}}
    return NotebookClient(notebook, timeout=120, kernel_name="python3", resources=settings).execute()


def texts(notebook):
    """Return all that the cells print or show, but not pictures and HTML."""
    outputs = [o for cell in notebook.cells if cell.cell_type == "code" for o in cell.outputs]
    shown = [o.get("text") or o.get("data", {}).get("text/plain", "") for o in outputs]
    numbers = [text for text in shown if not text.startswith(("<Figure", "<Axes", "array([<Axes"))]
    return "".join(numbers)  # one print may arrive in several pieces


def outlines(notebook):
    """Return every picture as 48×48 grey levels in [0, 1]: fonts and versions leave them nearly alone."""
    outputs = [o for cell in notebook.cells if cell.cell_type == "code" for o in cell.outputs]
    pictures = [o["data"]["image/png"] for o in outputs if "image/png" in o.get("data", {})]
    opened = [
        Image.open(io.BytesIO(base64.b64decode(p))).convert("L").resize((48, 48), Image.Resampling.BOX)
        for p in pictures
    ]
    return [np.asarray(p) / 255 for p in opened]


@pytest.mark.filterwarnings("ignore")  # of the Jupyter client, which is not ours to mend
@pytest.mark.parametrize("path", OTHERS, ids=lambda p: p.stem)
def test_committed_outputs_are_what_the_code_gives(path, tmp_path, monkeypatch):
    monkeypatch.delenv("MPLBACKEND", raising=False)  # notebooks draw inline
    committed, fresh = nbformat.read(path, as_version=4), executed(path, tmp_path)

    assert texts(fresh) == texts(committed)
    assert len(outlines(fresh)) == len(outlines(committed))
    for now, then in zip(outlines(fresh), outlines(committed), strict=True):
        assert np.abs(now - then).max() < 0.15  # another K, budget or matrix changes some tile by 0.25


@pytest.mark.filterwarnings("ignore")
def test_the_notebook_of_a_pair_runs_on_a_small_one(tmp_path, monkeypatch):
    pytest.importorskip("peft", reason="PEFT is an extra: pip install '.[peft]'")
    monkeypatch.delenv("MPLBACKEND", raising=False)
    monkeypatch.delenv("LOWRANK_BLOCKS_PAIR", raising=False)
    text = texts(executed(OF_A_PAIR, tmp_path))
    assert "6 matrices, budget 28672 numbers" in text
    kept = [float(share) for share in re.findall(r"kept (\S+),", text)]
    assert len(kept) == 3
    assert min(kept) > 0.3  # of an effect that no adapter at all would keep 0 of


@pytest.mark.filterwarnings("ignore")
def test_the_notebook_of_weights_runs_on_a_small_pair(tmp_path, monkeypatch):
    pytest.importorskip("transformers", reason="transformers comes with the extra: pip install '.[peft]'")
    monkeypatch.delenv("MPLBACKEND", raising=False)
    monkeypatch.delenv("LOWRANK_BLOCKS_PAIR", raising=False)
    notebook = executed(OF_WEIGHTS, tmp_path)
    assert "6 matrices; 960 tokens" in texts(notebook)
    errors = re.findall(r"^(\S.*\)) +(?:matrix|vector) +([\d. ]+)$", texts(notebook), re.M)
    assert len(errors) == 4
    assert all(0 < float(e) < 1 for _, row in errors for e in row.split())  # of no X at all it is 1
    assert len(outlines(notebook)) == 1


def test_no_committed_notebook_names_a_folder_of_this_machine():
    for path in NOTEBOOKS:
        assert not re.search(r"/(work|tmp|home|root|usr|opt)/", path.read_text("utf-8")), path.name


def test_every_code_cell_was_run_in_order():
    assert NOTEBOOKS
    for path in NOTEBOOKS:
        counts = [c.execution_count for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
        assert counts == list(range(1, len(counts) + 1))
