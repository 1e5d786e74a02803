from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.support import tiny
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    BertForPreTraining,
    ViTConfig,
    XLMRobertaForMaskedLM,
)

from xlift.errors import UserError
from xlift.models.backbone import load, load_backbone, save
from xlift.models.heads import pool
from xlift.models.outputs import HeadSpec

NLI = HeadSpec("sequence", ("entailment", "neutral", "contradiction"))


def inputs_of(family="xlm-roberta"):
    encoded = tiny.tokenizer_of(family)(["the old man", "Paris in the north of France"])
    return tiny.batch(encoded["input_ids"], encoded.get("token_type_ids"))


def stock_folder(folder, model, tokenizer="bpe"):
    model.save_pretrained(folder)
    tiny.tokenizer(tokenizer).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("family", tiny.ALL_FAMILIES)
def test_saved_model_loads_unchanged(tmp_path, family):
    encoder = tiny.encoder(family)
    encoder.add_head("nli", NLI, seed=1)
    encoder.add_head("squad", HeadSpec("span"), seed=2)
    save(encoder, tiny.tokenizer_of(family), tmp_path)
    again, tokenizer = load(tmp_path)
    before, after = encoder.state_dict(), again.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert again.head("nli").spec == NLI
    assert again.family == encoder.family
    text = ["the old man"], ["Paris"]
    assert dict(tokenizer(*text)) == dict(tiny.tokenizer_of(family)(*text))  # token types too


def test_heads_of_usual_names_have_the_parameter_names_of_a_module_dict(tmp_path):
    encoder = tiny.encoder("xlm-roberta")
    heads = {name: encoder.add_head(name, NLI, seed=1) for name in ("isle-nli", "MLM", "nli_2")}
    assert list(encoder.heads.state_dict()) == list(torch.nn.ModuleDict(heads).state_dict())
    assert sum(name.startswith("heads.isle-nli.classifier.") for name in encoder.state_dict())


def test_heads_may_have_any_name_and_names_that_begin_with_another(tmp_path):
    # `nn.ModuleDict` refuses dots and the names of its attributes
    names = ["a", "a.b", "a.classifier", "type", "train", "training", "items", "0", "half"]
    encoder = tiny.encoder("xlm-roberta")
    for seed, name in enumerate(names):
        encoder.add_head(name, NLI, seed=seed)
    encoder.add_head("a.b", NLI, seed=99)  # replaces
    save(encoder, tiny.tokenizer_of("xlm-roberta"), tmp_path)
    again = load(tmp_path)[0]
    assert list(again.heads) == names == list(encoder.heads)
    assert len(again.heads) == len(names)
    assert "a.b" in again.heads
    assert "b" not in again.heads
    for name in names:
        before, after = encoder.head(name).state_dict(), again.head(name).state_dict()
        assert before.keys() == after.keys()
        assert all(torch.equal(before[key], after[key]) for key in before)
    again.train()
    assert all(again.head(name).training for name in names)
    assert not again.eval().head("train").training


@pytest.mark.parametrize("family", tiny.ENCODERS)
def test_auto_model_loads_a_saved_encoder(tmp_path, family):
    encoder = tiny.encoder(family)
    save(encoder, tiny.tokenizer_of(family), tmp_path)
    stock, info = AutoModel.from_pretrained(tmp_path, output_loading_info=True)
    assert all(key.startswith("pooler.") for key in info["missing_keys"])
    assert not info["unexpected_keys"]
    inputs = inputs_of(family)
    with torch.no_grad():
        ours, theirs = encoder.last_hidden_state(inputs), stock.eval()(**inputs).last_hidden_state
    mask = inputs["attention_mask"].unsqueeze(-1)
    torch.testing.assert_close(ours * mask, theirs * mask)


@pytest.mark.parametrize("family", tiny.ALL_FAMILIES)
def test_saving_is_deterministic_and_writes_no_machine_path(tmp_path, family):
    tiny.model_folder(tmp_path / "a", family)
    encoder, tokenizer = load(tmp_path / "a")
    save(encoder, tokenizer, tmp_path / "b")
    load_again, tokenizer = load(tmp_path / "b")
    save(load_again, tokenizer, tmp_path / "c")
    for file in (tmp_path / "b").iterdir():
        assert file.read_bytes() == (tmp_path / "c" / file.name).read_bytes(), file.name
        assert str(tmp_path).encode() not in file.read_bytes(), file.name


@pytest.mark.parametrize("family", tiny.DECODERS + tiny.SEQ2SEQ)
def test_saved_generative_model_loads_with_auto_model_and_stores_tied_weights_once(tmp_path, family):
    model = tiny.encoder(family)
    save(model, tiny.tokenizer_of(family), tmp_path)
    auto: Any = AutoModelForCausalLM if family in tiny.DECODERS else AutoModelForSeq2SeqLM
    stock, info = auto.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"] | info["unexpected_keys"]
    tensors = load_file(tmp_path / "model.safetensors")
    size = sum(parameter.numel() for parameter in model.parameters())  # each once
    assert sum(tensor.numel() for name, tensor in tensors.items() if name != "final_logits_bias") == size
    inputs = inputs_of(family)
    if family in tiny.SEQ2SEQ:
        inputs["decoder_input_ids"] = inputs["input_ids"]
    with torch.no_grad():
        assert torch.equal(stock.eval()(**inputs).logits, model.backbone(**inputs).logits)


def test_separate_output_layer_stays_separate(tmp_path):
    # as in mT5: transformers 5 ties it by the config, and unties it where a checkpoint has other weights
    model, _ = load(tiny.model_folder(tmp_path, "mt5"))
    backbone: Any = model.backbone
    assert not torch.equal(backbone.lm_head.weight, backbone.shared.weight)
    assert torch.equal(backbone.lm_head.weight, load_file(tmp_path / "model.safetensors")["lm_head.weight"])


def test_tokenizer_without_padding_token_pads_with_its_end_token(tmp_path):
    assert tiny.tokenizer_of("llama").pad_token is None
    model, tokenizer = load(tiny.model_folder(tmp_path, "llama"))
    assert tokenizer.pad_token_id == tokenizer.eos_token_id
    assert len(tokenizer) == len(tiny.tokenizer_of("llama"))
    # a padding row in the config would not be trained, and this one is the end token
    assert model.backbone.config.pad_token_id is None


def test_image_token_needs_no_embedding_row(tmp_path):
    # as in google/gemma-3-1b-pt: 262,144 rows, and <image_soft_token> has id 262,144
    tiny.model_folder(tmp_path, "gemma3_text")
    tokenizer = copy.deepcopy(tiny.tokenizer_of("gemma3_text"))
    tokenizer.add_special_tokens({"extra_special_tokens": ["<image_soft_token>"]})
    tokenizer.save_pretrained(tmp_path)
    model, tokenizer = load(tmp_path)
    assert len(tokenizer) == len(model.embeddings) + 1


def test_decoder_without_output_layer_loads(tmp_path):
    # as the text model of a multimodal Gemma 3 is saved
    model: Any = tiny.backbone("gemma3_text")
    model.base_model.save_pretrained(tmp_path)
    tiny.tokenizer_of("gemma3_text").save_pretrained(tmp_path)
    loaded, _ = load_backbone(tmp_path)
    assert type(loaded) is type(model)
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in loaded.state_dict().items())


def test_lm_head_and_untrained_pooler_of_roberta_are_dropped(tmp_path):
    folder = stock_folder(tmp_path, XLMRobertaForMaskedLM(tiny.config("xlm-roberta")))
    encoder, _ = load(folder)
    assert encoder.pooler == {}
    assert not encoder.heads
    assert not any("pooler" in name or "lm_head" in name for name in encoder.state_dict())


def test_pretrained_pooler_of_bert_initializes_new_heads_of_every_stage(tmp_path):
    stock = BertForPreTraining(tiny.config("bert"))
    encoder, tokenizer = load(stock_folder(tmp_path / "hub", stock, "wordpiece"))
    assert encoder.backbone.pooler is None
    encoder.add_head("nli", NLI, seed=1)
    torch.nn.init.zeros_(
        encoder.get_parameter("heads.nli.pooler.dense.weight")
    )  # training changes the head's pooler only
    save(encoder, tokenizer, tmp_path / "stage")
    later, _ = load(tmp_path / "stage")
    later.add_head("xnli", NLI, seed=2)
    pretrained = stock.state_dict()["bert.pooler.dense.weight"]
    assert torch.equal(later.get_parameter("heads.xnli.pooler.dense.weight"), pretrained)


def test_bf16_checkpoint_is_loaded_in_fp32(tmp_path):
    model = AutoModel.from_config(tiny.config("modernbert"), dtype=torch.bfloat16)
    backbone, _ = load_backbone(stock_folder(tmp_path, model))
    assert {parameter.dtype for parameter in backbone.parameters()} == {torch.float32}


def test_loading_prints_nothing(tmp_path, capfd):
    folder = stock_folder(tmp_path, XLMRobertaForMaskedLM(tiny.config("xlm-roberta")))
    capfd.readouterr()
    load(folder)
    assert capfd.readouterr() == ("", "")


class TestBadFolders:
    def fails(self, place, message):
        with pytest.raises(UserError) as caught:
            load_backbone(place)
        assert message in str(caught.value)

    def test_missing(self, tmp_path):
        self.fails(tmp_path / "nothing", "no such folder")

    def test_not_a_model(self, tmp_path):
        self.fails(tmp_path, "it has no config.json")

    def test_hub_id_without_network(self, monkeypatch):
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        self.fails("nobody/nothing-of-this-name", "cannot be loaded")

    def test_pickled_weights_are_an_error_and_are_not_read(self, tmp_path):
        tiny.model_folder(tmp_path)
        (tmp_path / "model.safetensors").unlink()
        (tmp_path / "heads.safetensors").unlink()
        (tmp_path / "pytorch_model.bin").write_bytes(b"not even a pickle")
        self.fails(tmp_path, "`xlift convert")

    def test_truncated_weights(self, tmp_path):
        weights = tiny.model_folder(tmp_path) / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:1000])
        self.fails(tmp_path, "model.safetensors: the file is cut: it has 1,000 bytes")

    def test_missing_tensor(self, tmp_path):
        path = tiny.model_folder(tmp_path) / "model.safetensors"
        weights = load_file(path)
        del weights["encoder.layer.1.output.dense.weight"]
        save_file(weights, path, metadata={"format": "pt"})
        self.fails(tmp_path, "encoder.layer.1.output.dense.weight")

    def test_more_layers_than_in_the_config(self, tmp_path):
        path = tiny.model_folder(tmp_path) / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"num_hidden_layers": 1}))
        self.fails(tmp_path, "too many")

    def test_other_sizes_than_in_the_config(self, tmp_path):
        path = tiny.model_folder(tmp_path) / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"intermediate_size": 48}))
        self.fails(tmp_path, "encoder.layer.0.intermediate.dense.weight is 64 x 32, and config.json makes it 48 x 32")

    def test_no_tokenizer(self, tmp_path):
        # transformers would build an empty one from the config
        for file in tiny.model_folder(tmp_path).glob("tokenizer*"):
            file.unlink()
        self.fails(tmp_path, "tokenizer")

    def test_not_a_text_model(self, tmp_path):
        config = ViTConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=64)
        self.fails(stock_folder(tmp_path, AutoModel.from_config(config)), "a model of type 'vit' is not an encoder")

    def test_multimodal_model(self, tmp_path):
        tiny.model_folder(tmp_path, "gemma3_text")
        text = tiny.config("gemma3_text").to_dict()
        (tmp_path / "config.json").write_text(json.dumps({"model_type": "gemma3", "text_config": text}))
        self.fails(tmp_path, "language_model")

    def test_tokenizer_of_a_larger_model(self, tmp_path):
        tiny.model_folder(tmp_path, "qwen3")
        tiny.tokenizer_of("gemma3_text").save_pretrained(tmp_path)
        self.fails(tmp_path, "the tokenizer has 480 tokens, the model 384")

    def test_damaged_heads(self, tmp_path):
        (tiny.model_folder(tmp_path) / "heads.json").write_text("[")
        with pytest.raises(UserError, match="the heads cannot be read"):
            load(tmp_path)


class TestPool:
    hidden = torch.tensor([[[1.0, 0.0], [3.0, 2.0], [100.0, 100.0]]])
    mask = torch.tensor([[1, 1, 0]])

    def test_mean_includes_special_tokens_and_excludes_padding(self):
        assert pool(self.hidden, self.mask).tolist() == [[2.0, 1.0]]

    def test_cls(self):
        assert pool(self.hidden, self.mask, "cls").tolist() == [[1.0, 0.0]]

    def test_unknown(self):
        with pytest.raises(UserError, match="unknown pooling 'max'"):
            pool(self.hidden, self.mask, "max")


@pytest.mark.parametrize("family", tiny.ENCODERS)
def test_hidden_states_run_from_the_embeddings_to_the_input_of_heads(family):
    encoder, inputs = tiny.encoder(family), inputs_of(family)
    with torch.no_grad():
        states = encoder.hidden_states(inputs)
        last = encoder.backbone(**inputs).last_hidden_state
    assert len(states) == 3
    mask = inputs["attention_mask"].unsqueeze(-1)
    torch.testing.assert_close(states[2] * mask, last * mask)


@pytest.mark.parametrize(
    ("family", "length"),
    [
        ("xlm-roberta", 512),
        ("bert", 514),
        ("modernbert", 514),
        ("qwen3", 512),
        ("gemma3_text", 512),
        ("llama", 512),
        ("nllb", 512),
        ("mbart", 512),
    ],
)
def test_max_length_is_the_longest_row_that_the_model_accepts(family, length):
    encoder = tiny.encoder(family)
    assert encoder.max_length == length
    with torch.no_grad():
        encoder.hidden_states(tiny.batch([[7] * length]))


def test_relative_positions_set_no_limit():
    encoder = tiny.encoder("mt5")
    assert encoder.max_length is None
    with torch.no_grad():
        encoder.last_hidden_state(tiny.batch([[7] * 600]))


def test_token_types_are_dropped_for_models_without_them():
    # generic tokenizers return them for every model, and XLM-R has one token type
    encoder, inputs = tiny.encoder("xlm-roberta"), inputs_of()
    types = torch.ones_like(inputs["input_ids"])
    with torch.no_grad():
        plain, typed = encoder.last_hidden_state(inputs), encoder.last_hidden_state({**inputs, "token_type_ids": types})
    assert torch.equal(plain, typed)
