"""The table of languages: codes have the right meaning (another catalogue has 'cmo', Central Mnong, for Mandarin)."""

from __future__ import annotations

from pathlib import Path

import pytest

from xlift import languages
from xlift.errors import UserError
from xlift.languages import ALIASES, LANGUAGES, canonical, get

XTREME_R = (
    "af ar az bg bn de el en es et eu fa fi fr gu he hi ht hu id it ja jv ka kk ko lt ml mr ms my nl pa pl pt qu ro ru "
    "sw ta te th tl tr uk ur vi wo yo zh"
).split()


def test_every_language_of_xtreme_r_and_of_the_data_is_in_the_table():
    assert set(XTREME_R) | {"gn", "ay", "quy", "ha"} <= {language.code for language in LANGUAGES}


def test_codes_are_unique_and_none_is_an_alias_of_another():
    codes = [language.code for language in LANGUAGES]
    assert len(set(codes)) == len(codes)
    assert not set(codes) & set(ALIASES)
    assert set(ALIASES.values()) <= set(codes)


FLORES_200 = """
ace_Arab ace_Latn acm_Arab acq_Arab aeb_Arab afr_Latn ajp_Arab aka_Latn amh_Ethi apc_Arab arb_Arab arb_Latn ars_Arab
ary_Arab arz_Arab asm_Beng ast_Latn awa_Deva ayr_Latn azb_Arab azj_Latn bak_Cyrl bam_Latn ban_Latn bel_Cyrl bem_Latn
ben_Beng bho_Deva bjn_Arab bjn_Latn bod_Tibt bos_Latn bug_Latn bul_Cyrl cat_Latn ceb_Latn ces_Latn cjk_Latn ckb_Arab
crh_Latn cym_Latn dan_Latn deu_Latn dik_Latn dyu_Latn dzo_Tibt ell_Grek eng_Latn epo_Latn est_Latn eus_Latn ewe_Latn
fao_Latn fij_Latn fin_Latn fon_Latn fra_Latn fur_Latn fuv_Latn gla_Latn gle_Latn glg_Latn grn_Latn guj_Gujr hat_Latn
hau_Latn heb_Hebr hin_Deva hne_Deva hrv_Latn hun_Latn hye_Armn ibo_Latn ilo_Latn ind_Latn isl_Latn ita_Latn jav_Latn
jpn_Jpan kab_Latn kac_Latn kam_Latn kan_Knda kas_Arab kas_Deva kat_Geor knc_Arab knc_Latn kaz_Cyrl kbp_Latn kea_Latn
khm_Khmr kik_Latn kin_Latn kir_Cyrl kmb_Latn kmr_Latn kon_Latn kor_Hang lao_Laoo lij_Latn lim_Latn lin_Latn lit_Latn
lmo_Latn ltg_Latn ltz_Latn lua_Latn lug_Latn luo_Latn lus_Latn lvs_Latn mag_Deva mai_Deva mal_Mlym mar_Deva min_Arab
min_Latn mkd_Cyrl plt_Latn mlt_Latn mni_Beng khk_Cyrl mos_Latn mri_Latn mya_Mymr nld_Latn nno_Latn nob_Latn npi_Deva
nso_Latn nus_Latn nya_Latn oci_Latn gaz_Latn ory_Orya pag_Latn pan_Guru pap_Latn pes_Arab pol_Latn por_Latn prs_Arab
pbt_Arab quy_Latn ron_Latn run_Latn rus_Cyrl sag_Latn san_Deva sat_Olck scn_Latn shn_Mymr sin_Sinh slk_Latn slv_Latn
smo_Latn sna_Latn snd_Arab som_Latn sot_Latn spa_Latn als_Latn srd_Latn srp_Cyrl ssw_Latn sun_Latn swe_Latn swh_Latn
szl_Latn tam_Taml tat_Cyrl tel_Telu tgk_Cyrl tgl_Latn tha_Thai tir_Ethi taq_Latn taq_Tfng tpi_Latn tsn_Latn tso_Latn
tuk_Latn tum_Latn tur_Latn twi_Latn tzm_Tfng uig_Arab ukr_Cyrl umb_Latn urd_Arab uzn_Latn vec_Latn vie_Latn war_Latn
wol_Latn xho_Latn ydd_Hebr yor_Latn yue_Hant zho_Hans zho_Hant zsm_Latn zul_Latn
""".split()
"""The 204 codes of its README; the Santali file is in Ol Chiki, where the README once had Bengali script."""

IN_ANOTHER_SCRIPT = (
    "ace-Arab ar-Latn bjn-Arab bn-Latn hi-Latn kr-Arab ks-Deva min-Arab ne-Latn sa-Latn si-Latn taq-Tfng ur-Latn zh-Hant"
).split()
"""Codes of languages that are also in the table in their usual script."""

each_language = pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.code)


def test_every_code_of_flores_is_a_separate_language():
    assert len(FLORES_200) == 204
    assert len({canonical(code) for code in FLORES_200} - {None}) == 204


@pytest.mark.parametrize("code", FLORES_200)
def test_a_code_of_flores_keeps_its_meaning_and_its_script(code):
    langcodes = pytest.importorskip("langcodes")
    language = get(code)
    primary, _, script = code.partition("_")
    flores, ours = langcodes.Language.get(primary), langcodes.Language.get(language.code.partition("-")[0])
    assert flores.to_alpha3() == ours.to_alpha3() or langcodes.standardize_tag(primary, macro=True) == ours.language
    assert language.script == {"Hang": "Kore"}.get(script, script)


@each_language
def test_code_is_the_shortest_valid_one(language):
    langcodes = pytest.importorskip("langcodes")
    assert langcodes.tag_is_valid(language.code)
    # CLDR has Filipino for Tagalog and Persian of Afghanistan for Dari; BCP-47 and every benchmark have 'tl' and 'prs'.
    assert language.code in ("tl", "prs") or langcodes.standardize_tag(language.code) == language.code


@each_language
def test_script_is_the_likely_one_or_part_of_the_code(language):
    langcodes = pytest.importorskip("langcodes")
    primary, _, script = language.code.partition("-")
    likely = langcodes.Language.get(primary).maximize()
    if script:
        assert script == language.script
        assert script != likely.script
    elif likely.territory != "US" or primary == "en":  # CLDR returns the script of English for an unknown language
        # The likely script of Ancient Greek in CLDR is the Cypriot syllabary; every benchmark has it in Greek letters.
        assert {"grc": "Grek"}.get(primary, likely.script) == language.script


@pytest.mark.parametrize("alias", ALIASES)
def test_alias_means_the_same_language(alias):
    langcodes = pytest.importorskip("langcodes")
    standard = langcodes.standardize_tag(alias, macro=True)
    # Twi is one of the Akan languages, and FLORES has both.
    assert {"fil": "tl"}.get(standard, standard) == ALIASES[alias] or (alias, standard) == ("twi", "ak")


@each_language
def test_name_is_the_one_of_cldr(language):
    langcodes = pytest.importorskip("langcodes")
    pytest.importorskip("language_data")  # a separate package with the names
    other = {"bn": "Bangla", "tl": "Filipino", "luo": "Luo (Kenya and Tanzania)", "prs": "Persian"}
    name, _, script = language.name.partition(", ")
    primary = language.code.partition("-")[0]
    assert langcodes.Language.get(primary).language_name() == other.get(primary, name)
    assert bool(script) == (language.code in IN_ANOTHER_SCRIPT)


def test_tiers_and_families_are_filled():
    assert {language.tier for language in LANGUAGES} == {"high", "mid", "low"}
    assert all(language.family and language.name for language in LANGUAGES)


@pytest.mark.parametrize(
    ("spelling", "code"),
    [("swh", "sw"), ("swa", "sw"), ("cmn", "zh"), ("zho_Hans", "zh"), ("deu", "de"), ("hau", "ha"), ("arb_Arab", "ar"),
     ("quy_Latn", "quy"), ("qu", "qu"), (" DE ", "de"), ("arb_Latn", "ar-Latn"), ("zho_Hant", "zh-Hant"),
     ("kor_Hang", "ko"), ("ary_arab", "ary"), ("als_Latn", "sq"), ("crh_Latn", "crh-Latn")],
)  # fmt: skip
def test_spellings_of_published_files(spelling, code):
    assert get(spelling).code == code


@pytest.mark.parametrize("spelling", ["cmo", "deu_Cyrl", "no", "xx", ""])
def test_unknown_and_ambiguous_codes_give_none(spelling):
    # 'cmo' is Central Mnong, and 'no' may be Bokmål or Nynorsk.
    assert canonical(spelling) is None


def test_unknown_language_suggests_the_nearest():
    with pytest.raises(UserError, match="Swahili is 'sw'"):
        get("swahili")
    with pytest.raises(UserError, match="did you mean 'german'"):
        get("germann")


def test_table_imports_only_errors():
    # Layers: languages.py is below every module except errors.py.
    source = Path(languages.__file__).read_text(encoding="utf-8")
    assert {line for line in source.splitlines() if line.startswith("from xlift")} == {
        "from xlift.errors import UserError, did_you_mean"
    }
