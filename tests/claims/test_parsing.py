from __future__ import annotations

from pathlib import Path

import pytest

from xlift.claims import Claim, ClaimSet, parse_claims, read_claims, read_claims_entry
from xlift.errors import UserError

TEXT = """\
question: What lifts?
source: phang-2020
names: {squad: isle-qa, english: [isle-qa, isle-nli], mlm: }
claims:
  - {name: qa, text: QA lifts., lift: squad}
  - {name: one, text: In one language., lift: [squad, a], target: x, languages: sw, at_least: 1}
  - {name: none, text: It does not., no_lift: squad, delta: 0.5}
  - {name: mlm, text: English beats MLM., contrast: [english, mlm], languages: all}
  - {name: as-good, text: As good., not_worse: [a, [b, c]], margin: 0.3}
  - {name: best, text: Best., best: [a], among: [a, b]}
  - {name: more, text: More data lifts more., trend: a}
  - {name: groups, text: Interaction., interaction: {rows: [a, none], languages: [sw, [ur, th]]}}
  - {name: noisy, text: Noise., interaction: {rows: [a, none], noise: typos 10%}}
  - {name: exact, text: By 8.2., equals: {lift: squad, points: 8.2, within: 0.5}}
  - {name: same, text: Equal., equals: {contrast: [a, b], points: 0, within: 1}}
  - {name: choose, text: Best per target., best_per_target: [a, b]}
  - {name: tasks, text: Nine tasks., fact: intermediate-tasks, equals: 9}
  - {name: few, text: Some., fact: models, at_least: 1, at_most: 3}
"""


def claims(text: str = TEXT, folder: Path = Path()) -> ClaimSet:
    (folder / "c.yaml").write_text(text, encoding="utf-8")
    return read_claims("c.yaml", folder)


def find(claim_set: ClaimSet, name: str) -> Claim:
    claim = claim_set.find(name)
    assert claim
    return claim


def test_every_kind_is_read(tmp_path: Path):
    read = claims(folder=tmp_path)
    assert (read.question, read.source) == ("What lifts?", ("phang-2020",))
    assert read.expand(["english", "squad", "mlm", "a"]) == ("isle-qa", "isle-nli", "a")
    assert find(read, "qa") == Claim("qa", "QA lifts.", "lift", rows=("squad",))
    assert find(read, "mlm").sides == (("english",), ("mlm",))
    assert find(read, "as-good").sides == (("a",), ("b", "c"))
    assert find(read, "groups").groups == (("sw",), ("ur", "th"))
    assert find(read, "exact").sides == (("squad",), ())
    assert (find(read, "tasks").at_least, find(read, "tasks").at_most) == (9, 9)
    assert [claim.name for claim in read.claims if not claim.is_statistical] == ["tasks", "few"]
    assert find(read, "qa").where.endswith("c.yaml:5: claims.0")


def test_delta_depends_on_what_is_averaged(tmp_path: Path):
    read = claims(folder=tmp_path)
    assert [find(read, name).delta for name in ("qa", "one", "none")] == [1.0, 2.0, 0.5]
    assert find(read, "as-good").margin == 0.3
    changed = claims(TEXT.replace("claims:", "delta: {mean: 3, language: 4}\nclaims:", 1), tmp_path)
    assert [find(changed, name).delta for name in ("qa", "one", "none")] == [3.0, 4.0, 0.5]


def test_the_dictionary_is_read_again(tmp_path: Path):
    read = claims(folder=tmp_path)
    again = parse_claims(read.to_dict(), lambda keys: "record")
    assert again.claims == read.claims
    assert again.digest == read.digest


def test_the_digest_covers_what_is_claimed_and_not_the_place(tmp_path: Path):
    read = claims(folder=tmp_path)
    assert claims("# a comment\n" + TEXT, tmp_path).digest == read.digest
    assert claims(TEXT.replace("margin: 0.3", "margin: 0.4"), tmp_path).digest != read.digest
    assert claims(TEXT.replace("squad: isle-qa", "squad: isle-pos"), tmp_path).digest != read.digest


def test_a_study_maps_the_names_of_a_file(tmp_path: Path):
    claims(folder=tmp_path)
    entry = {"file": "c.yaml", "names": {"squad": "isle-pos", "a": ["x", "y"]}}
    read = read_claims_entry(entry, tmp_path, lambda keys: ".".join(map(str, keys)))
    assert read.expand(["squad", "a", "english"]) == ("isle-pos", "x", "y", "isle-qa", "isle-nli")
    with pytest.raises(UserError, match=r"names.sqad: no claim has the name 'sqad'\n  did you mean 'squad'"):
        read_claims_entry({"file": "c.yaml", "names": {"sqad": "x"}}, tmp_path, lambda keys: ".".join(map(str, keys)))


def one(rest: str) -> str:
    return f"claims:\n  - {{name: a, text: A., {rest}}}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "c.yaml: expected claims"),
        ("question: x", "c.yaml:1: expected a list of claims"),
        ("claims: []", "c.yaml:1: claims: expected a list of claims"),
        ("claim: 1", "c.yaml:1: claim: unknown key 'claim'\n  did you mean 'claims'?"),
        ("claims: [x]", "c.yaml:1: claims.0: expected a claim, found 'x'"),
        (
            one("lifts: x"),
            "c.yaml:2: claims.0: expected one key for the kind of claim, found none of them\n  did you mean 'lift'?",
        ),
        (one("lift: x, trend: x"), "found lift and trend"),
        (one("lift: x, margin: 1"), "claims.0.margin: unknown key 'margin'"),
        (one("lift: []"), "claims.0.lift: the list is empty"),
        (one("lift: [x, x]"), "claims.0.lift.1: 'x' is listed twice"),
        (one("lift: 3"), "claims.0.lift: expected text, found 3"),
        (one("lift: x, delta: -1"), "claims.0.delta: expected a number of 0 or more, found -1"),
        (one("lift: x, delta: .nan"), "claims.0.delta: expected a number of 0 or more"),
        (one("lift: x, at_least: true"), "claims.0.at_least: expected a count, found true"),
        (one("lift: x, languages: [all, sw]"), "claims.0.languages: 'all' and 'zero-shot' stand alone"),
        (one("contrast: [x]"), "claims.0.contrast: expected two sides, found a list"),
        (one("contrast: [x, x]"), "claims.0.contrast: both sides are 'x'"),
        (one("interaction: {rows: [x, y]}"), "expected one of `languages` and `noise`"),
        (one("interaction: {rows: [x, y], noise: n, lang: 1}"), "claims.0.interaction.lang: unknown key"),
        (one("equals: {lift: x, points: 1}"), "claims.0.equals: 'within' is missing"),
        (one("equals: {points: 1, within: 1}"), "claims.0.equals: expected one of `lift` and `contrast`"),
        (one("fact: model, equals: 1"), "claims.0.fact: unknown quantity 'model'\n  did you mean 'models'?"),
        (one("fact: models"), "claims.0: expected a bound"),
        (one("fact: models, equals: 1, target: x"), "claims.0.target: unknown key"),
        ("claims:\n  - {name: a b, text: A., lift: x}", "claims.0.name: 'a b' cannot name a claim"),
        ("claims:\n  - {name: a, lift: x}", "claims.0: 'text' is missing"),
        (one("lift: x") + "  - {name: a, text: B., lift: y}", "c.yaml:3: claims.1.name: two claims are called 'a'"),
        ("names: {y: z}\n" + one("lift: x"), "c.yaml:1: names.y: no claim has the name 'y'"),
        ("names: [y]\n" + one("lift: x"), "c.yaml:1: names: expected a mapping"),
        ("delta: 1\n" + one("lift: x"), "c.yaml:1: delta: expected a mapping, found 1"),
    ],
)
def test_mistakes_are_refused_with_their_place(text: str, message: str, tmp_path: Path):
    with pytest.raises(UserError) as caught:
        claims(text, tmp_path)
    assert message in str(caught.value)


def test_an_unknown_file_is_refused(tmp_path: Path):
    claims(folder=tmp_path)
    with pytest.raises(UserError, match=r"study.yaml:1: no claims 'd.yaml'\n  did you mean 'c.yaml'"):
        read_claims("d.yaml", tmp_path, "study.yaml:1")
