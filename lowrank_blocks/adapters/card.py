"""The model card of an adapter directory."""

from __future__ import annotations

import json
from dataclasses import replace

from lowrank_blocks._escaping import markdown
from lowrank_blocks.adapters.written import RECORD, WrittenAdapter

_LOAD = """\
```python
from peft import PeftModel

model = PeftModel.from_pretrained(base, "path/to/this/folder")  # base: the model, loaded
model = model.merge_and_unload()  # if the adapter is to be added to the weights
```
"""


_WEIGHTED = (
    " `weighted_error` is the relative error in the weighted norm in which the approximation is the best; "
    "all others are in the plain one."
)


def model_card(written: WrittenAdapter, base_model: str | None, version: str) -> str:
    """Return the text of README.md: what the adapter is, how to load it, and what it leaves out.

    Names from outside are escaped, so that none of them is taken for Markdown, HTML or YAML.
    """
    base = markdown(base_model) if base_model else "the base model"
    parts = [
        _front(written, base_model),
        f"# Adapter for {base}\n",
        f"Low-rank factors of the difference between a fine-tuned model and {base}, computed by "
        f"lowrank_blocks {version}, not trained. `{RECORD}` has every number of this page.\n",
        _LOAD,
        replace(written.table, note="").to_markdown(),
        _legend(written),
        _listing("Matrices of rank 0, which stay as they are in the base", written.left_out),
        _listing("Tensors stored whole", written.rest),
    ]
    return "\n".join(part for part in parts if part)


def _front(written: WrittenAdapter, base_model: str | None) -> str:
    """Return the header in YAML; a JSON string is a YAML string."""
    lines = [f"base_model: {json.dumps(base_model)}"] if base_model else []
    lines += ["library_name: peft", "tags:", f"- {written.format}", "- lowrank_blocks"]
    return "\n".join(["---", *lines, "---", ""])


def _legend(written: WrittenAdapter) -> str:
    return (
        "`relative_error` is the Frobenius error of the approximation divided by the norm of the update; "
        f"`rounding` is how far rounding to {written.dtype} moved it, in the units of the weights; `bound` "
        "is a bound on the relative error of what is stored. `padded` counts the numbers in the file beyond "
        f"those of the approximation.{_WEIGHTED if 'weighted_error' in written.table.columns else ''}\n"
    )


def _listing(title: str, names: tuple[str, ...]) -> str:
    if not names:
        return ""
    return f"{title}:\n\n" + "".join(f"- {markdown(name)}\n" for name in names)
