"""The table of languages: code, name, family, script and resource tier.

The table has every language of XTREME, XTREME-R and the other published tasks in the catalogue, including FLORES-200.
The generated languages have private-use codes (qaa to qtz) and are declared in `archipelago.languages`;
`tasks.catalog.all_languages` combines both tables.

Codes are BCP-47, so ISO 639-1 where it has a code. A code includes the script only if it differs from the usual one: 'zh'
is Chinese in simplified characters, 'zh-Hant' in traditional ones. Published files use several codes for one language
('swh', 'swa', 'sw'); `canonical` maps them. An individual language has the code of its macrolanguage (Standard Latvian
'lvs' is 'lv') where CLDR says that the macrolanguage's code means it; Southern Pashto and Ayacucho Quechua keep separate
codes. There is no 'no': Norwegian files are Bokmål ('nb') or Nynorsk ('nn'). Names are the English ones of CLDR, with a few
more usual ones instead; scripts are ISO 15924, those of the published data.

Tiers are this project's reading of the classes of Joshi et al. 2020 (arXiv 2004.09095): classes 5 and 4 are 'high', class
3 is 'mid', classes 2 to 0 are 'low', and so are languages that their list lacks. They describe the amount of labelled and
unlabelled text, not the quality of any model. Families and branches of the languages that only MultiBLiMP has are those of
Glottolog, their scripts those of their treebanks in Universal Dependencies: Gothic, Ancient Egyptian, Hittite, Ottoman Turkish
and Vedic Sanskrit are transcribed there.
"""

from __future__ import annotations

from dataclasses import dataclass

from xlift.errors import UserError, did_you_mean


@dataclass(frozen=True)
class Language:
    code: str
    """BCP-47."""
    name: str
    family: str
    script: str
    """ISO 15924, e.g. 'Latn'."""
    tier: str
    """'high', 'mid' or 'low'."""
    subgroup: str = ""
    """Branch of the family, for large families."""


def _parse_table(rows: str) -> tuple[Language, ...]:
    """Parse one language per line: code | name | family | subgroup | script | tier."""
    languages = []
    for row in rows.strip().splitlines():
        code, name, family, subgroup, script, tier = (cell.strip() for cell in row.split("|"))
        languages.append(Language(code, name, family, script, tier, subgroup))
    return tuple(languages)


LANGUAGES: tuple[Language, ...] = _parse_table("""
    ab       | Abkhazian                   | Abkhaz-Adyge  |                  | Cyrl | low
    ace      | Acehnese                    | Austronesian  | Malayo-Chamic    | Latn | low
    ace-Arab | Acehnese, Arabic script     | Austronesian  | Malayo-Chamic    | Arab | low
    acm      | Mesopotamian Arabic         | Afro-Asiatic  | Semitic          | Arab | low
    acq      | Ta'izzi-Adeni Arabic        | Afro-Asiatic  | Semitic          | Arab | low
    aeb      | Tunisian Arabic             | Afro-Asiatic  | Semitic          | Arab | low
    af       | Afrikaans                   | Indo-European | Germanic         | Latn | mid
    ajp      | South Levantine Arabic      | Afro-Asiatic  | Semitic          | Arab | low
    ak       | Akan                        | Niger-Congo   | Kwa              | Latn | low
    aln      | Gheg Albanian               | Indo-European | Albanian         | Latn | low
    am       | Amharic                     | Afro-Asiatic  | Semitic          | Ethi | low
    apc      | North Levantine Arabic      | Afro-Asiatic  | Semitic          | Arab | low
    apu      | Apurinã                     | Arawakan      |                  | Latn | low
    aqz      | Akuntsu                     | Tupian        | Tuparic          | Latn | low
    ar       | Arabic                      | Afro-Asiatic  | Semitic          | Arab | high
    ar-Latn  | Arabic, Latin script        | Afro-Asiatic  | Semitic          | Latn | low
    arr      | Karo (Brazil)               | Tupian        | Ramarama         | Latn | low
    ars      | Najdi Arabic                | Afro-Asiatic  | Semitic          | Arab | low
    ary      | Moroccan Arabic             | Afro-Asiatic  | Semitic          | Arab | low
    arz      | Egyptian Arabic             | Afro-Asiatic  | Semitic          | Arab | mid
    as       | Assamese                    | Indo-European | Indo-Aryan       | Beng | low
    ast      | Asturian                    | Indo-European | Romance          | Latn | low
    awa      | Awadhi                      | Indo-European | Indo-Aryan       | Deva | low
    ay       | Aymara                      | Aymaran       |                  | Latn | low
    az       | Azerbaijani                 | Turkic        | Oghuz            | Latn | low
    azb      | South Azerbaijani           | Turkic        | Oghuz            | Arab | low
    azz      | Highland Puebla Nahuatl     | Uto-Aztecan   | Southern         | Latn | low
    ba       | Bashkir                     | Turkic        | Kipchak          | Cyrl | low
    ban      | Balinese                    | Austronesian  | Bali-Sasak       | Latn | low
    bbj      | Ghomala                     | Niger-Congo   | Grassfields      | Latn | low
    be       | Belarusian                  | Indo-European | Slavic           | Cyrl | mid
    bem      | Bemba                       | Niger-Congo   | Bantu            | Latn | low
    bg       | Bulgarian                   | Indo-European | Slavic           | Cyrl | mid
    bho      | Bhojpuri                    | Indo-European | Indo-Aryan       | Deva | low
    bjn      | Banjar                      | Austronesian  | Malayic          | Latn | low
    bjn-Arab | Banjar, Arabic script       | Austronesian  | Malayic          | Arab | low
    bm       | Bambara                     | Mande         | Western          | Latn | low
    bn       | Bengali                     | Indo-European | Indo-Aryan       | Beng | mid
    bn-Latn  | Bengali, Latin script       | Indo-European | Indo-Aryan       | Latn | low
    bo       | Tibetan                     | Sino-Tibetan  | Tibetic          | Tibt | low
    bor      | Borôro                      | Bororoan      |                  | Latn | low
    br       | Breton                      | Indo-European | Celtic           | Latn | low
    bs       | Bosnian                     | Indo-European | Slavic           | Latn | mid
    bua      | Buriat                      | Mongolic      |                  | Cyrl | low
    bug      | Buginese                    | Austronesian  | South Sulawesi   | Latn | low
    bzd      | Bribri                      | Chibchan      |                  | Latn | low
    ca       | Catalan                     | Indo-European | Romance          | Latn | high
    ceb      | Cebuano                     | Austronesian  | Philippine       | Latn | mid
    cjk      | Chokwe                      | Niger-Congo   | Bantu            | Latn | low
    ckb      | Central Kurdish             | Indo-European | Iranian          | Arab | low
    cni      | Asháninka                   | Arawakan      |                  | Latn | low
    crh-Latn | Crimean Tatar               | Turkic        | Kipchak          | Latn | low
    cs       | Czech                       | Indo-European | Slavic           | Latn | high
    cu       | Church Slavic               | Indo-European | Slavic           | Cyrl | low
    cy       | Welsh                       | Indo-European | Celtic           | Latn | low
    da       | Danish                      | Indo-European | Germanic         | Latn | mid
    de       | German                      | Indo-European | Germanic         | Latn | high
    din      | Dinka                       | Nilo-Saharan  | Nilotic          | Latn | low
    dyu      | Dyula                       | Mande         | Western          | Latn | low
    dz       | Dzongkha                    | Sino-Tibetan  | Tibetic          | Tibt | low
    ee       | Ewe                         | Niger-Congo   | Kwa              | Latn | low
    egy-Latn | Ancient Egyptian            | Afro-Asiatic  | Egyptian         | Latn | low
    el       | Greek                       | Indo-European | Hellenic         | Grek | mid
    eme      | Emerillon                   | Tupian        | Tupi-Guarani     | Latn | low
    en       | English                     | Indo-European | Germanic         | Latn | high
    eo       | Esperanto                   | Constructed   |                  | Latn | low
    es       | Spanish                     | Indo-European | Romance          | Latn | high
    et       | Estonian                    | Uralic        | Finnic           | Latn | mid
    eu       | Basque                      | Basque        |                  | Latn | high
    fa       | Persian                     | Indo-European | Iranian          | Arab | high
    fi       | Finnish                     | Uralic        | Finnic           | Latn | high
    fj       | Fijian                      | Austronesian  | Oceanic          | Latn | low
    fo       | Faroese                     | Indo-European | Germanic         | Latn | low
    fon      | Fon                         | Niger-Congo   | Kwa              | Latn | low
    fr       | French                      | Indo-European | Romance          | Latn | high
    frm      | Middle French               | Indo-European | Romance          | Latn | low
    fro      | Old French                  | Indo-European | Romance          | Latn | low
    fur      | Friulian                    | Indo-European | Romance          | Latn | low
    fuv      | Nigerian Fulfulde           | Niger-Congo   | Senegambian      | Latn | low
    ga       | Irish                       | Indo-European | Celtic           | Latn | low
    gd       | Scottish Gaelic             | Indo-European | Celtic           | Latn | low
    gl       | Galician                    | Indo-European | Romance          | Latn | mid
    gn       | Guarani                     | Tupian        | Tupi-Guarani     | Latn | low
    got-Latn | Gothic                      | Indo-European | Germanic         | Latn | low
    grc      | Ancient Greek               | Indo-European | Hellenic         | Grek | low
    gu       | Gujarati                    | Indo-European | Indo-Aryan       | Gujr | low
    ha       | Hausa                       | Afro-Asiatic  | Chadic           | Latn | low
    hbo      | Ancient Hebrew              | Afro-Asiatic  | Semitic          | Hebr | low
    hch      | Huichol                     | Uto-Aztecan   | Southern         | Latn | low
    he       | Hebrew                      | Afro-Asiatic  | Semitic          | Hebr | mid
    hi       | Hindi                       | Indo-European | Indo-Aryan       | Deva | high
    hi-Latn  | Hindi, Latin script         | Indo-European | Indo-Aryan       | Latn | low
    hit      | Hittite                     | Indo-European | Anatolian        | Latn | low
    hne      | Chhattisgarhi               | Indo-European | Indo-Aryan       | Deva | low
    hr       | Croatian                    | Indo-European | Slavic           | Latn | high
    hsb      | Upper Sorbian               | Indo-European | Slavic           | Latn | low
    ht       | Haitian Creole              | Creole        | French-based     | Latn | low
    hu       | Hungarian                   | Uralic        | Ugric            | Latn | high
    hy       | Armenian                    | Indo-European | Armenian         | Armn | low
    hyw      | Western Armenian            | Indo-European | Armenian         | Armn | low
    id       | Indonesian                  | Austronesian  | Malayic          | Latn | mid
    ig       | Igbo                        | Niger-Congo   | Igboid           | Latn | low
    ilo      | Iloko                       | Austronesian  | Philippine       | Latn | low
    is       | Icelandic                   | Indo-European | Germanic         | Latn | low
    it       | Italian                     | Indo-European | Romance          | Latn | high
    ja       | Japanese                    | Japonic       |                  | Jpan | high
    jv       | Javanese                    | Austronesian  | Javanese         | Latn | low
    ka       | Georgian                    | Kartvelian    |                  | Geor | mid
    kab      | Kabyle                      | Afro-Asiatic  | Berber           | Latn | low
    kac      | Kachin                      | Sino-Tibetan  | Sal              | Latn | low
    kam      | Kamba                       | Niger-Congo   | Bantu            | Latn | low
    kbp      | Kabiyè                      | Niger-Congo   | Gur              | Latn | low
    kea      | Kabuverdianu                | Creole        | Portuguese-based | Latn | low
    kg       | Kongo                       | Niger-Congo   | Bantu            | Latn | low
    ki       | Kikuyu                      | Niger-Congo   | Bantu            | Latn | low
    kk       | Kazakh                      | Turkic        | Kipchak          | Cyrl | mid
    km       | Khmer                       | Austroasiatic | Khmeric          | Khmr | low
    kmb      | Kimbundu                    | Niger-Congo   | Bantu            | Latn | low
    kn       | Kannada                     | Dravidian     | South            | Knda | low
    ko       | Korean                      | Koreanic      |                  | Kore | high
    koi      | Komi-Permyak                | Uralic        | Permic           | Cyrl | low
    kpv      | Komi-Zyrian                 | Uralic        | Permic           | Cyrl | low
    kr       | Kanuri                      | Nilo-Saharan  | Saharan          | Latn | low
    kr-Arab  | Kanuri, Arabic script       | Nilo-Saharan  | Saharan          | Arab | low
    krl      | Karelian                    | Uralic        | Finnic           | Latn | low
    ks       | Kashmiri                    | Indo-European | Indo-Aryan       | Arab | low
    ks-Deva  | Kashmiri, Devanagari script | Indo-European | Indo-Aryan       | Deva | low
    ku       | Kurdish                     | Indo-European | Iranian          | Latn | low
    ky       | Kyrgyz                      | Turkic        | Kipchak          | Cyrl | low
    la       | Latin                       | Indo-European | Italic           | Latn | mid
    lb       | Luxembourgish               | Indo-European | Germanic         | Latn | low
    lg       | Ganda                       | Niger-Congo   | Bantu            | Latn | low
    li       | Limburgish                  | Indo-European | Germanic         | Latn | low
    lij      | Ligurian                    | Indo-European | Romance          | Latn | low
    lmo      | Lombard                     | Indo-European | Romance          | Latn | low
    ln       | Lingala                     | Niger-Congo   | Bantu            | Latn | low
    lo       | Lao                         | Kra-Dai       | Tai              | Laoo | low
    lt       | Lithuanian                  | Indo-European | Baltic           | Latn | mid
    ltg      | Latgalian                   | Indo-European | Baltic           | Latn | low
    lua      | Luba-Lulua                  | Niger-Congo   | Bantu            | Latn | low
    luo      | Luo                         | Nilo-Saharan  | Nilotic          | Latn | low
    lus      | Mizo                        | Sino-Tibetan  | Kuki-Chin        | Latn | low
    lv       | Latvian                     | Indo-European | Baltic           | Latn | mid
    mag      | Magahi                      | Indo-European | Indo-Aryan       | Deva | low
    mai      | Maithili                    | Indo-European | Indo-Aryan       | Deva | low
    mdf      | Moksha                      | Uralic        | Mordvin          | Cyrl | low
    mg       | Malagasy                    | Austronesian  | Barito           | Latn | low
    mi       | Māori                       | Austronesian  | Oceanic          | Latn | low
    min      | Minangkabau                 | Austronesian  | Malayic          | Latn | low
    min-Arab | Minangkabau, Arabic script  | Austronesian  | Malayic          | Arab | low
    mk       | Macedonian                  | Indo-European | Slavic           | Cyrl | low
    ml       | Malayalam                   | Dravidian     | South            | Mlym | low
    mn       | Mongolian                   | Mongolic      |                  | Cyrl | low
    mni      | Manipuri                    | Sino-Tibetan  | Kuki-Chin        | Beng | low
    mos      | Mossi                       | Niger-Congo   | Gur              | Latn | low
    mr       | Marathi                     | Indo-European | Indo-Aryan       | Deva | low
    ms       | Malay                       | Austronesian  | Malayic          | Latn | mid
    mt       | Maltese                     | Afro-Asiatic  | Semitic          | Latn | low
    my       | Burmese                     | Sino-Tibetan  | Burmo-Qiangic    | Mymr | low
    myv      | Erzya                       | Uralic        | Mordvin          | Cyrl | low
    nah      | Nahuatl languages           | Uto-Aztecan   | Southern         | Latn | low
    nb       | Norwegian Bokmål            | Indo-European | Germanic         | Latn | mid
    nds      | Low German                  | Indo-European | Germanic         | Latn | low
    ne       | Nepali                      | Indo-European | Indo-Aryan       | Deva | low
    ne-Latn  | Nepali, Latin script        | Indo-European | Indo-Aryan       | Latn | low
    nhi      | Zacatlán-Ahuacatlán-Tepetzintla Nahuatl | Uto-Aztecan   | Southern         | Latn | low
    nl       | Dutch                       | Indo-European | Germanic         | Latn | high
    nn       | Norwegian Nynorsk           | Indo-European | Germanic         | Latn | low
    nqo      | N’Ko                        | Mande         | Western          | Nkoo | low
    nso      | Northern Sotho              | Niger-Congo   | Bantu            | Latn | low
    nus      | Nuer                        | Nilo-Saharan  | Nilotic          | Latn | low
    ny       | Nyanja                      | Niger-Congo   | Bantu            | Latn | low
    oc       | Occitan                     | Indo-European | Romance          | Latn | low
    olo      | Livvi                       | Uralic        | Finnic           | Latn | low
    om       | Oromo                       | Afro-Asiatic  | Cushitic         | Latn | low
    or       | Odia                        | Indo-European | Indo-Aryan       | Orya | low
    orv      | Old Russian                 | Indo-European | Slavic           | Cyrl | low
    ota-Latn | Ottoman Turkish             | Turkic        | Oghuz            | Latn | low
    oto      | Otomian languages           | Oto-Manguean  | Oto-Pamean       | Latn | low
    pa       | Punjabi                     | Indo-European | Indo-Aryan       | Guru | low
    pag      | Pangasinan                  | Austronesian  | Philippine       | Latn | low
    pap      | Papiamento                  | Creole        | Iberian-based    | Latn | low
    pbt      | Southern Pashto             | Indo-European | Iranian          | Arab | low
    pcm      | Nigerian Pidgin             | Creole        | English-based    | Latn | low
    pl       | Polish                      | Indo-European | Slavic           | Latn | high
    prs      | Dari                        | Indo-European | Iranian          | Arab | low
    pt       | Portuguese                  | Indo-European | Romance          | Latn | high
    qu       | Quechua                     | Quechuan      |                  | Latn | low
    quc      | Kʼicheʼ                     | Mayan         | Quichean         | Latn | low
    quy      | Ayacucho Quechua            | Quechuan      | Southern         | Latn | low
    rn       | Rundi                       | Niger-Congo   | Bantu            | Latn | low
    ro       | Romanian                    | Indo-European | Romance          | Latn | mid
    ru       | Russian                     | Indo-European | Slavic           | Cyrl | high
    rw       | Kinyarwanda                 | Niger-Congo   | Bantu            | Latn | low
    sa       | Sanskrit                    | Indo-European | Indo-Aryan       | Deva | low
    sa-Latn  | Sanskrit, Latin script      | Indo-European | Indo-Aryan       | Latn | low
    sah      | Yakut                       | Turkic        | Sakha-Dolgan     | Cyrl | low
    sat      | Santali                     | Austroasiatic | Munda            | Olck | low
    sc       | Sardinian                   | Indo-European | Romance          | Latn | low
    scn      | Sicilian                    | Indo-European | Romance          | Latn | low
    sd       | Sindhi                      | Indo-European | Indo-Aryan       | Arab | low
    se       | Northern Sami               | Uralic        | Sami             | Latn | low
    sg       | Sango                       | Creole        | Ngbandi-based    | Latn | low
    shn      | Shan                        | Kra-Dai       | Tai              | Mymr | low
    shp      | Shipibo-Conibo              | Panoan        |                  | Latn | low
    si       | Sinhala                     | Indo-European | Indo-Aryan       | Sinh | low
    si-Latn  | Sinhala, Latin script       | Indo-European | Indo-Aryan       | Latn | low
    sk       | Slovak                      | Indo-European | Slavic           | Latn | mid
    sl       | Slovenian                   | Indo-European | Slavic           | Latn | mid
    sm       | Samoan                      | Austronesian  | Oceanic          | Latn | low
    sms      | Skolt Sami                  | Uralic        | Sami             | Latn | low
    sn       | Shona                       | Niger-Congo   | Bantu            | Latn | low
    so       | Somali                      | Afro-Asiatic  | Cushitic         | Latn | low
    sq       | Albanian                    | Indo-European | Albanian         | Latn | low
    sr       | Serbian                     | Indo-European | Slavic           | Cyrl | high
    ss       | Swati                       | Niger-Congo   | Bantu            | Latn | low
    st       | Southern Sotho              | Niger-Congo   | Bantu            | Latn | low
    su       | Sundanese                   | Austronesian  | Sundanese        | Latn | low
    sv       | Swedish                     | Indo-European | Germanic         | Latn | high
    sw       | Swahili                     | Niger-Congo   | Bantu            | Latn | low
    szl      | Silesian                    | Indo-European | Slavic           | Latn | low
    ta       | Tamil                       | Dravidian     | South            | Taml | mid
    taq      | Tamasheq                    | Afro-Asiatic  | Berber           | Latn | low
    taq-Tfng | Tamasheq, Tifinagh script   | Afro-Asiatic  | Berber           | Tfng | low
    tar      | Central Tarahumara          | Uto-Aztecan   | Southern         | Latn | low
    te       | Telugu                      | Dravidian     | South-Central    | Telu | low
    tg       | Tajik                       | Indo-European | Iranian          | Cyrl | low
    th       | Thai                        | Kra-Dai       | Tai              | Thai | mid
    ti       | Tigrinya                    | Afro-Asiatic  | Semitic          | Ethi | low
    tk       | Turkmen                     | Turkic        | Oghuz            | Latn | low
    tl       | Tagalog                     | Austronesian  | Philippine       | Latn | mid
    tn       | Tswana                      | Niger-Congo   | Bantu            | Latn | low
    tpi      | Tok Pisin                   | Creole        | English-based    | Latn | low
    tpn      | Tupinambá                   | Tupian        | Tupi-Guarani     | Latn | low
    tr       | Turkish                     | Turkic        | Oghuz            | Latn | high
    ts       | Tsonga                      | Niger-Congo   | Bantu            | Latn | low
    tt       | Tatar                       | Turkic        | Kipchak          | Cyrl | low
    tum      | Tumbuka                     | Niger-Congo   | Bantu            | Latn | low
    tw       | Twi                         | Niger-Congo   | Kwa              | Latn | low
    tzm-Tfng | Central Atlas Tamazight     | Afro-Asiatic  | Berber           | Tfng | low
    ug       | Uyghur                      | Turkic        | Karluk           | Arab | low
    uk       | Ukrainian                   | Indo-European | Slavic           | Cyrl | mid
    umb      | Umbundu                     | Niger-Congo   | Bantu            | Latn | low
    ur       | Urdu                        | Indo-European | Indo-Aryan       | Arab | mid
    ur-Latn  | Urdu, Latin script          | Indo-European | Indo-Aryan       | Latn | low
    urb      | Urubú-Kaapor                | Tupian        | Tupi-Guarani     | Latn | low
    uz       | Uzbek                       | Turkic        | Karluk           | Latn | mid
    vec      | Venetian                    | Indo-European | Romance          | Latn | low
    vep      | Veps                        | Uralic        | Finnic           | Latn | low
    vi       | Vietnamese                  | Austroasiatic | Vietic           | Latn | high
    war      | Waray                       | Austronesian  | Philippine       | Latn | low
    wbp      | Warlpiri                    | Pama-Nyungan  | Desert Nyungic   | Latn | low
    wo       | Wolof                       | Niger-Congo   | Senegambian      | Latn | low
    xcl      | Classical Armenian          | Indo-European | Armenian         | Armn | low
    xh       | Xhosa                       | Niger-Congo   | Bantu            | Latn | low
    xnr      | Kangri                      | Indo-European | Indo-Aryan       | Deva | low
    xpg      | Phrygian                    | Indo-European | Graeco-Phrygian  | Grek | low
    yi       | Yiddish                     | Indo-European | Germanic         | Hebr | low
    yo       | Yoruba                      | Niger-Congo   | Defoid           | Latn | low
    yrl      | Nheengatu                   | Tupian        | Tupi-Guarani     | Latn | low
    yue      | Cantonese                   | Sino-Tibetan  | Sinitic          | Hant | low
    zh       | Chinese                     | Sino-Tibetan  | Sinitic          | Hans | high
    zh-Hant  | Chinese, traditional script | Sino-Tibetan  | Sinitic          | Hant | high
    zu       | Zulu                        | Niger-Congo   | Bantu            | Latn | low
""")

_BY_CODE = {language.code: language for language in LANGUAGES}

ALIASES: dict[str, str] = {
    # ISO 639-3 codes of LASER, FLORES, SIB-200 and MasakhaNER, individual languages in the files of a macrolanguage
    # ('swh' for 'swa'), and codes that ISO 639-1 withdrew ('iw').
    "abk": "ab", "afr": "af", "aka": "ak", "als": "sq", "amh": "am", "ara": "ar", "arb": "ar", "asm": "as",
    "aym": "ay", "ayr": "ay", "aze": "az", "azj": "az", "bak": "ba", "bam": "bm", "bel": "be", "ben": "bn",
    "bod": "bo", "bos": "bs", "bre": "br", "bul": "bg", "cat": "ca", "ces": "cs", "chu": "cu", "cmn": "zh",
    "cym": "cy", "dan": "da", "deu": "de", "dik": "din", "dzo": "dz", "ekk": "et", "ell": "el", "eng": "en",
    "epo": "eo", "est": "et", "eus": "eu", "ewe": "ee", "fao": "fo", "fas": "fa", "fij": "fj", "fil": "tl",
    "fin": "fi", "fra": "fr", "gaz": "om", "gla": "gd", "gle": "ga", "glg": "gl", "grn": "gn", "gug": "gn",
    "guj": "gu", "hat": "ht", "hau": "ha", "heb": "he", "hin": "hi", "hrv": "hr", "hun": "hu", "hye": "hy",
    "ibo": "ig", "in": "id", "ind": "id", "isl": "is", "ita": "it", "iw": "he", "jav": "jv", "jpn": "ja", "jw": "jv",
    "kan": "kn", "kas": "ks", "kat": "ka", "kau": "kr", "kaz": "kk", "khk": "mn", "khm": "km", "kik": "ki",
    "kin": "rw", "kir": "ky", "kmr": "ku", "knc": "kr", "kon": "kg", "kor": "ko", "kur": "ku", "lao": "lo",
    "lat": "la", "lav": "lv", "lim": "li", "lin": "ln", "lit": "lt", "ltz": "lb", "lug": "lg", "lvs": "lv",
    "mal": "ml", "mar": "mr", "mkd": "mk", "mlg": "mg", "mlt": "mt", "mon": "mn", "mri": "mi", "msa": "ms",
    "mya": "my", "nep": "ne", "nld": "nl", "nno": "nn", "nob": "nb", "npi": "ne", "nya": "ny", "oci": "oc",
    "ori": "or", "orm": "om", "ory": "or", "pan": "pa", "pes": "fa", "plt": "mg", "pol": "pl", "por": "pt",
    "que": "qu", "ron": "ro", "run": "rn", "rus": "ru", "sag": "sg", "san": "sa", "sin": "si", "slk": "sk",
    "slv": "sl", "sme": "se", "smo": "sm", "sna": "sn", "snd": "sd", "som": "so", "sot": "st", "spa": "es",
    "sqi": "sq", "srd": "sc", "srp": "sr", "ssw": "ss", "sun": "su", "swa": "sw", "swe": "sv", "swh": "sw",
    "tam": "ta", "tat": "tt", "tel": "te", "tgk": "tg", "tgl": "tl", "tha": "th", "tir": "ti", "tsn": "tn",
    "tso": "ts", "tuk": "tk", "tur": "tr", "twi": "tw", "uig": "ug", "ukr": "uk", "urd": "ur", "uzb": "uz",
    "uzn": "uz", "vie": "vi", "wol": "wo", "xho": "xh", "ydd": "yi", "yid": "yi", "yor": "yo", "zho": "zh",
    "zsm": "ms", "zul": "zu",
}  # fmt: skip


_SCRIPT_ALIASES = {"Hang": "Kore"}
"""Script in published codes -> script in the table: Korean text is Hangul and some Chinese characters."""


def canonical(code: str) -> str | None:
    """The code in this table for a code in published files, or None if the language is not in the table.

    A code with a script is valid only if the table has the language in this script: 'arb_Arab' is 'ar' and 'arb_Latn' is
    'ar-Latn', but 'deu_Cyrl' is None. Ayacucho Quechua ('quy') is not mapped to its macrolanguage ('qu'), since XCOPA's
    Quechua is another member of it.
    """
    primary, _, script = code.strip().replace("_", "-").partition("-")
    primary, script = primary.lower(), script.title()
    primary, script = ALIASES.get(primary, primary), _SCRIPT_ALIASES.get(script, script)
    if f"{primary}-{script}" in _BY_CODE:
        return f"{primary}-{script}"
    language = _BY_CODE.get(primary)
    return language.code if language is not None and script in ("", language.script) else None


def get(code: str) -> Language:
    """The language of a code or of an alias.

    Raises:
        UserError: the language is not in this table.
    """
    canonical_code = canonical(code)
    if canonical_code is not None:
        return _BY_CODE[canonical_code]
    by_name = {language.name.lower(): language for language in LANGUAGES}
    language = by_name.get(code.strip().lower())
    hint = (
        f"{language.name} is '{language.code}'; "
        if language
        else did_you_mean(code.lower(), [*_BY_CODE, *ALIASES, *by_name])
    )
    raise UserError(f"unknown language '{code}'", fix=f"{hint}codes are BCP-47: 'sw' is Swahili, 'zh' is Chinese.")
