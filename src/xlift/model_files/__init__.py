"""Model folders as files: what they hold, and whether it fits together. Imports neither torch nor transformers.

| module | what it checks |
| --- | --- |
| `check.py` | the whole folder |
| `contents.py` | what a file really holds: a Git LFS pointer, a web page, nothing |
| `config.py` | config.json; `known_types.py` lists the model types of transformers |
| `weights.py` | headers and sizes of safetensors files; `tensors.py` lists the tensors that a model type must have |
| `tokenizer.py` | the tokenizer's files, its ids against the embeddings, its special tokens |
"""

from xlift.model_files.check import ModelFacts, check_model_folder
from xlift.model_files.tokenizer import TokenizerFacts, read_tokenizer

__all__ = ["ModelFacts", "TokenizerFacts", "check_model_folder", "read_tokenizer"]
