"""The planning of each section of a study: models.py, intermediate.py and targets.py; stages.py plans one training stage,
text_mode.py its prompts. families.py refuses what a kind of model cannot do."""
