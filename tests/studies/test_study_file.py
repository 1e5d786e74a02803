"""Reading a study from YAML: every error names a line, a key and a fix."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.support.fakes import STUDY, study_file

from xlift.errors import UserError
from xlift.studies.schema.intermediate import Intermediate
from xlift.studies.study_file import read_study

BOMB = "".join(f"k{n}: &k{n} [{', '.join([f'*k{n - 1}' if n else 'x'] * 9)}]\n" for n in range(9))


def refused(folder: Path, text: str, *overrides: str) -> str:
    """The message without the folder."""
    path = study_file(folder, text)
    with pytest.raises(UserError) as error:
        read_study(str(path), overrides)
    assert error.value.fix, "says what is wrong, but not what to do"
    return str(error.value).replace(f"{folder}/", "")


CHANGED = {
    # what is wrong: (what to replace in the study, by what, how the message begins, what it also says)
    "unknown key": ("models:", "modles:", "study.yaml:1: modles: unknown key 'modles'", "did you mean 'models'?"),
    "unknown key deep down": ("size: 50", "sise: 50", "study.yaml:6: targets.0.train.sise: unknown", "'size'?"),
    "unknown key of a union": ("size: 100", "sise: 100", "study.yaml:4: intermediate.1.sise: unknown", "'size'?"),
    "size 0": ("size: 100", "size: 0", "study.yaml:4: intermediate.1.size: expected 1 or more, found 0", ""),
    "size 0 in a list": ("size: 100", "size: [9, 0]", "study.yaml:4: intermediate.1.size.1: expected 1 or more", ""),
    "size as text": ("size: 100", "size: 1e3", "study.yaml:4: intermediate.1.size: expected a whole", "write 1000."),
    "size twice": ("size: 100", "size: [9, 9]", "study.yaml:4: intermediate.1.size: 9 is listed twice", "remove one"),
    "size with a fraction": ("size: 100", "size: 2.5", "study.yaml:4: intermediate.1.size: expected a whole", ""),
    "no task": ("task: isle-nli, ", "", "study.yaml:6: targets.0.task: 'task' is missing", "add it"),
    "a wrong word": ("- none", "- None", "study.yaml:3: intermediate.0: expected none, or a mapping", "found 'None'"),
    "train: true": ("{size: 50}", "true", "study.yaml:6: targets.0.train: expected false, or a mapping", "true"),
    "a model as a number": ("[model]", "[3]", "study.yaml:1: models.0: expected the name of a model", "3"),
    "a model without pretrain": ("[model]", "[{name: x}]", "study.yaml:1: models.0.pretrain: 'pretrain' is miss", ""),
    "a model twice": ("[model]", "[model, model]", "study.yaml:1: models: 'model' is listed twice", ""),
    "no models": ("[model]", "[]", "study.yaml:1: models: the value is empty", "at least one"),
    "one where a list belongs": ("[model]", "model", "study.yaml:1: models: expected a list", "[model]"),
    "an unknown split": ("size: 20", "split: tset", "study.yaml:6: targets.0.split: expected 'train', 'dev'", "'test'?"),
    "training on test data": ("size: 50", "split: test", "study.yaml:6: targets.0.train.split: test data is", "'dev'"),
    "false for Norwegian": ("size: 20", "languages: [no]", "study.yaml:6: targets.0.languages.0: expected text", "'no'"),
    "true for a model": ("[model]", "[on]", "study.yaml:1: models.0: expected the name of a model", "YAML reads on as true; write 'on', in quotes."),
    "no for all languages": ("size: 20", "languages: no", "study.yaml:6: targets.0.languages: expected text, found false", "YAML reads no as false; write 'no', in quotes."),
    "a time as a name": ("size: 20", "name: 12:30", "study.yaml:6: targets.0.name: expected text, found 750", "YAML reads 12:30 as the number 750; write '12:30', in quotes."),
    "null for a name": ("size: 20", "name: null", "study.yaml:6: targets.0.name: expected text, found nothing", "YAML reads null as nothing; write 'null', in quotes."),
    "true for a list of texts": ("{task: isle-qa, size: 100}", "{task: isle-qa, keep_heads: yes}", "study.yaml:4: intermediate.1.keep_heads: expected a list, found true", "YAML reads yes as true; write 'yes', in quotes."),
    "a head with a blank": ("{task: isle-qa, size: 100}", "{task: isle-qa, head: my head}", "study.yaml:4: intermediate.1.head: 'my head' cannot name a head", "lower-case letters"),
    "a head in capitals": ("{task: isle-qa, size: 100}", "{name: x, stages: [{mixture: [{task: isle-qa}], head: MLM}]}", "study.yaml:4: intermediate.1.stages.0.head: 'MLM' cannot name a head", "lower-case letters"),
    "a language twice": ("size: 20", "languages: [qta, qta]", "study.yaml:6: targets.0.languages: 'qta' is listed", ""),
    "an unknown option": ("size: 20", "options: {poling: cls}", "study.yaml:6: targets.0.options.poling", "'pooling'?"),
    "a wrong option": ("size: 20", "options: {layer: top}", "study.yaml:6: targets.0.options.layer: expected a whole number or 'official', 'last' or 'dev', found 'top'", ""),
    "the name none": ("task: isle-qa", "name: none, task: isle-qa", "study.yaml:4: intermediate.1.name: 'none' is", ""),
    "the name all": ("task: isle-nli", "name: all, task: isle-nli", "study.yaml:6: targets.0.name: 'all' is", ""),
    "the name none of a task": ("task: isle-qa, size: 100", "task: none", "study.yaml:4: intermediate.1.task: 'none' is", "`name:`"),
    "the name all of a task": ("task: isle-nli", "task: all", "study.yaml:6: targets.0.task: 'all' is", "`name:`"),
    "no row": ("  - none\n  - {task: isle-qa, size: 100}", "  []", "study.yaml:2: intermediate: no intermediate", "[none]"),
}  # fmt: skip


@pytest.mark.parametrize("case", CHANGED)
def test_errors_in_existing_lines(tmp_path: Path, case: str):
    old, new, begins, also = CHANGED[case]
    assert old in STUDY
    message = refused(tmp_path, STUDY.replace(old, new, 1))
    assert message.startswith(begins)
    assert also in message


ADDED = {
    "lr in quotes": ("training: {lr: '1e-5'}", "study.yaml:7: training.lr: expected a number, found '1e-5'", "write 1e-5 without"),
    "two spellings": ("training: {lr: 0.1, learning_rate: 0.1}", "study.yaml:7: training.learning_rate: `lr` and `learning_rate` are the same setting", "keep one"),
    "a wrong learning_rate": ("training: {learning_rate: -1}", "study.yaml:7: training.learning_rate: expected more than 0", ""),
    "warm-up of half a step too many": ("training: {warmup_steps: 1.5}", "study.yaml:7: training.warmup_steps: 1.5 is neither a whole number of steps nor a share", "a share below 1"),
    "per-device batches on two devices": ("training: {target: {per_device_train_batch_size: 8}}\nengine: {devices: 2}", "study.yaml:7: training.target.per_device_train_batch_size: `per_device_train_batch_size` needs one device, and `engine:` has 2", "`batch_size:`"),
    "an old key": ("training: {beta2: 0.9}", "study.yaml:7: training.beta2: unknown key 'beta2'", "Allowed keys: recipe, lr, batch_size, epochs, max_steps"),
    "early stopping without its interval": ("training: {early_stopping: {patience: 2}}", "study.yaml:7: training.early_stopping.eval_steps: 'eval_steps' is missing", "add it. Allowed keys: eval_steps, patience."),
    "a text where a section belongs": ("engine: fast", "study.yaml:7: engine: expected lines of `key: value`, found 'fast'", "Allowed keys: token_budget, compact_vocabulary"),
    "lr below zero": ("training: {lr: -0.1}", "study.yaml:7: training.lr: expected more than 0, found -0.1", ""),
    "lr without end": ("training: {lr: .inf}", "study.yaml:7: training.lr: expected a finite number", ""),
    "lr two levels down": ("training:\n  target:\n    lr: '3e-4'", "study.yaml:9: training.target.lr: expected a", "3e-4"),
    "a seed twice": ("seeds: [1, 2, 1]", "study.yaml:7: seeds: 1 is listed twice", ""),
    "a seed below zero": ("seeds: [-1]", "study.yaml:7: seeds.0: expected 0 or more", ""),
    "a seed as text": ("seeds: ['1']", "study.yaml:7: seeds.0: expected a whole number, found '1'", "write 1."),
    "a truth value as seed": ("seeds: [yes]", "study.yaml:7: seeds.0: expected a whole number, found true", ""),
    "no seeds": ("seeds: []", "study.yaml:7: seeds: the value is empty", ""),
    "a number as title": ("title: 2024", "study.yaml:7: title: expected text, found 2024", "write '2024'"),
    "a name that is a path": ("name: a/b", "study.yaml:7: name: 'a/b' cannot name a study", "letters, digits"),
    "a key twice": ("seeds: [1]\nseeds: [2]", "study.yaml:8: the key 'seeds' is repeated; it is also on line 7", ""),
    "a key twice deep down": ("training:\n  lr: 0.1\n  lr: 0.2", "study.yaml:9: the key 'lr' is repeated", "line 8"),
    "a key that is no text": ("no: 1", "study.yaml:7: YAML does not read the key no as text", "'no'"),
    "a number as a key": ("0: 1", "study.yaml:7: YAML does not read the key 0 as text", "YAML reads 0 as a number; write '0', in quotes."),
    "nothing as a question": ("question: ~", "study.yaml:7: question: expected text, found nothing", "write '~', in quotes"),
    "two targets of one name": ("  - {task: isle-nli}", "study.yaml:7: targets.1: two targets are called", "`name:`"),
    "a bracket left open": ("seeds: [1, 2", "study.yaml:7: not valid YAML: expected ',' or ']'", "line 7"),
    "a tab": ("training:\n\tlr: 0.1", "study.yaml:8: not valid YAML", "spaces"),
    "a colon in a text": ("title: which: one", "study.yaml:7: not valid YAML", "quotes"),
    "two documents": ("---\nseeds: [1]", "study.yaml:7: not valid YAML: a second document", "---"),
    "a tag of Python": ("title: !!python/object/apply:os.system [ls]", "study.yaml:7: the tag !!python", "not allowed"),
    "a tag that lies": ("title: !!int abc", "study.yaml:7: 'abc' is not int", "remove the tag"),
    "a NUL": ("title: 'a\0b'", "study.yaml:7: YAML does not allow the character U+0000", "UTF-8"),
    "aliases that explode": (BOMB, "study.yaml: more than 50,000 values", "aliases"),
    "an alias of itself": ("title: &a [*a]", "study.yaml: too many lists or mappings inside each other", ""),
    "lists without end": ("title: " + "[" * 2000, "study.yaml: too many lists or mappings inside each other", ""),
}  # fmt: skip


@pytest.mark.parametrize("case", ADDED)
def test_errors_in_added_lines(tmp_path: Path, case: str):
    line, begins, also = ADDED[case]
    started = time.process_time()
    message = refused(tmp_path, STUDY + line + "\n")
    assert message.startswith(begins)
    assert also in message
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    ("text", "begins"),
    [
        ("", "study.yaml: the file is empty"),
        ("# nothing\n", "study.yaml: the file is empty"),
        ("- a\n", "study.yaml:1: not a study"),
        ("hello\n", "study.yaml:1: not a study"),
        ("models: [model]\ntargets: []\n", "study.yaml:2: targets: the study has no targets"),
        ("models: [model]\n", "study.yaml:1: targets: the study has no targets"),
    ],
)
def test_a_file_without_a_study_is_refused(tmp_path: Path, text: str, begins: str):
    assert refused(tmp_path, text).startswith(begins)


def test_the_first_error_of_the_file_is_reported(tmp_path: Path):
    # Not pydantic's first, which goes by the order of the fields of the class.
    text = STUDY.replace("size: 50", "size: 0") + "training: {lr: 0}\nseeds: [x]\n"
    assert refused(tmp_path, text).startswith("study.yaml:6: targets.0.train.size")


def test_not_utf_8_has_a_line(tmp_path: Path):
    path = study_file(tmp_path)
    path.write_bytes(STUDY.encode() + "title: größer\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"study\.yaml:7: not UTF-8 text"):
        read_study(str(path))


def test_windows_line_ends_and_a_byte_order_mark_are_accepted(tmp_path: Path):
    path = study_file(tmp_path)
    path.write_bytes(b"\xef\xbb\xbf" + STUDY.replace("\n", "\r\n").encode())
    assert read_study(str(path)).study == read_study(str(study_file(tmp_path, name="plain.yaml"))).study.model_copy(
        update={"name": "study"}
    )


def test_lines_are_right_with_windows_line_ends_too(tmp_path: Path):
    path = study_file(tmp_path)
    path.write_bytes(b"\xef\xbb\xbf" + (STUDY + "seeds: [x]\n").replace("\n", "\r\n").encode())
    with pytest.raises(UserError, match=r"study\.yaml:7: seeds\.0"):
        read_study(str(path))


def test_anchors_and_merge_keys_work(tmp_path: Path):
    text = STUDY.replace("{task: isle-qa, size: 100}", "&qa {task: isle-qa, size: 100}").replace(
        "targets", "  - {<<: *qa, size: 7}\ntargets"
    )
    intermediate = read_study(str(study_file(tmp_path, text))).study.intermediate
    assert intermediate[1:] == (Intermediate(task="isle-qa", size=100), Intermediate(task="isle-qa", size=7))


@pytest.mark.parametrize(
    ("text", "lr"), [("1e-5", 1e-5), ("1E-5", 1e-5), (".5e-3", 5e-4), ("2e+1", 20.0), ("3e-04", 3e-4)]
)
def test_a_number_with_an_exponent_needs_no_point(tmp_path: Path, text: str, lr: float):
    # PyYAML follows YAML 1.1 and reads 1e-5 as text
    study = read_study(str(study_file(tmp_path, STUDY + f"training: {{lr: {text}}}\ntitle: '{text}'\n"))).study
    assert study.training.lr == lr
    assert study.title == text


@pytest.mark.parametrize(
    ("synonym", "name", "value"),
    [
        ("learning_rate", "lr", 0.01),
        ("num_train_epochs", "epochs", 2.5),
        ("per_device_train_batch_size", "batch_size", 16),
    ],
)
def test_the_long_names_of_hugging_face_mean_the_same(tmp_path: Path, synonym: str, name: str, value: float):
    long, short = (
        read_study(str(study_file(tmp_path, STUDY + f"training: {{target: {{{key}: {value}}}}}\n"))).study
        for key in (synonym, name)
    )
    assert long == short
    assert getattr(long.training.target, name) == value


def test_a_whole_number_of_warmup_steps_and_a_share_are_read(tmp_path: Path):
    text = STUDY + "training: {warmup_steps: 500, target: {warmup_steps: 0.06}}\n"
    training = read_study(str(study_file(tmp_path, text))).study.training
    assert (training.warmup_steps, training.target.warmup_steps) == (500, 0.06)


def test_dates_stay_text(tmp_path: Path):
    assert read_study(str(study_file(tmp_path, STUDY + "title: 2024-01-01\n"))).study.title == "2024-01-01"


def test_the_default_name_is_the_file_name_made_safe(tmp_path: Path):
    assert read_study(str(study_file(tmp_path, name="my study (2).yaml"))).study.name == "my-study-2"


@pytest.mark.parametrize(("name", "suggestion"), [("quickstat", "'quickstart'?"), ("nothing-like-it", "quickstart")])
def test_an_unknown_study_name_gets_a_suggestion(name: str, suggestion: str):
    with pytest.raises(UserError, match=f"no study '{name}'") as error:
        read_study(name)
    assert suggestion in error.value.fix


def test_a_misspelt_file_gets_a_suggestion(tmp_path: Path):
    study_file(tmp_path, name="inference.yaml")
    with pytest.raises(UserError, match=r"inference\.yaml"):
        read_study(str(tmp_path / "inferense.yaml"))


def test_a_folder_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match="is a folder"):
        read_study(str(tmp_path))


# --- --set ------------------------------------------------------------------------------------------------------------


def test_set_overrides_values_and_list_items_and_adds_sections(tmp_path: Path):
    sets = ("seeds=[1, 2]", "targets.0.train.size=7", "training.target.lr=1e-5", "intermediate.1={task: isle-pos}")
    study = read_study(str(study_file(tmp_path)), sets).study
    target = study.targets[0]
    assert study.seeds == (1, 2)
    assert target.train
    assert target.train.size == 7
    assert study.training.target.lr == 1e-5
    assert study.intermediate[1] == Intermediate(task="isle-pos")


@pytest.mark.parametrize(
    ("override", "begins"),
    [
        ("seeds", "--set seeds: expected key=value"),
        ("=1", "--set =1: expected key=value"),
        ("training..lr=1", "--set training..lr=1: expected key=value"),
        ("trainig.lr=0.1", "--set trainig.lr=0.1: unknown key 'trainig'"),
        ("training.ler=0.1", "--set training.ler=0.1: unknown key 'ler'"),
        ("training.lr=-1", "--set training.lr=-1: expected more than 0, found -1"),
        ("targets.3.size=1", "--set targets.3.size=1: 'targets' has 1 item and no '3'"),
        ("targets.first.size=1", "--set targets.first.size=1: 'targets' has 1 item and no 'first'"),
        ("targets.0.task.x=1", "--set targets.0.task.x=1: 'targets.0.task' is a plain value"),
        ("seeds=[1", "--set seeds=[1: not valid YAML"),
        ("seeds=3", "--set seeds=3: expected a list, found 3"),
        ("title=!!python/name:os", "--set title=!!python/name:os: the tag"),
    ],
)
def test_errors_in_set_name_the_option(tmp_path: Path, override: str, begins: str):
    assert refused(tmp_path, STUDY, override).startswith(begins)


def test_locate_names_lines_and_set_options(tmp_path: Path):
    file = read_study(str(study_file(tmp_path)), ("targets.0.size=3",))
    assert file.locate("targets", 0, "train", "size").endswith("study.yaml:6: targets.0.train.size")
    assert file.locate("targets", 0, "options").endswith("study.yaml:6: targets.0.options")  # the nearest line around
    assert file.locate("targets", 0, "size") == "--set targets.0.size=3"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('title: a\nquestion: "a\\e[2J"', "001B"),
        ('title: a\n"x\\0": 1', "0000"),
        ('title: a\nquestion: "\\ud800"', "D800"),
        ('title: a\nquestion: "\\x9b"', "009B"),
    ],
)
def test_escapes_put_no_control_characters_into_texts(tmp_path: Path, text: str, code: str):
    (tmp_path / "s.yaml").write_text(f"{text}\ntargets: []\n")
    with pytest.raises(UserError, match=rf"s\.yaml:2: a text has the control character U\+{code}"):
        read_study(str(tmp_path / "s.yaml"))
