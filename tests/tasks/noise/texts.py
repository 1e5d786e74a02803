"""Texts in many scripts for the tests of noise."""

from __future__ import annotations

from hypothesis import strategies as st

SENTENCES = {
    "en": "Don't stop: the well-known café of O’Neill was 1,5 km away.",
    "de": "Die Straße über größere Wörter hört auf.",
    "tr": "İstanbul'da ışık var, IŞIK!",
    "ru": "Ещё один Щенок бежит в Москве.",
    "el": "Ο Γιώργος είναι ο καλύτερος.",
    "ar": "ذهبتُ إلى القاهرةِ في الصيف.",
    "he": "שָׁלוֹם לכל הילדים בעיר.",
    "hi": "क्षत्रिय लड़का दिल्ली में पढ़ता है।",
    "th": "ที่นี่ประเทศไทยมีอาหารอร่อยมาก",
    "zh": "我在2008年去了北京奥运会。",
    "ja": "カタカナと日本語を読みます。",
    "ko": "한국어 문장을 읽는다.",
    "ka": "საქართველო ლამაზია.",
}

FRAGILE_CLUSTERS = (
    "👩‍👩‍👧‍👦",
    "🇩🇪",
    "🇫🇷",
    "👍🏽",
    "🏴󠁧󠁢󠁥󠁮󠁧󠁿",
    "1️⃣",
    "क्ष",
    "त्रि",
    "ที่",
    "น้ำ",
    "ก็",
    "ä",
    "ṩ",
    "ã́",
    "한",
    "각",
    "மி",
    "ழ்",
    "ကျွ",
    "ម្ពុ",
    "שָׁ",
)
"""Clusters of several characters, listed by hand; some have combining marks, some conjoining jamo."""

PIECES = (
    *FRAGILE_CLUSTERS,
    *"abcXYZßéñчйЩαΣςابتהשदमก日本かカ가",
    *"0,.!'’-ـ",
    " ",
    "  ",
    "\n",
    "\u200d",
    "\u200b",
    "\u0301",
    "ें",
    "ᄀ",
    "ᅡ",
    "🇯",
)
any_text = st.lists(st.sampled_from(PIECES), max_size=40).map("".join) | st.text(max_size=40)
languages = st.sampled_from([*SENTENCES, "sw", "qta", "qks", "qeo", "unknown"])
levels = st.sampled_from([0.05, 0.1, 0.2, 0.5, 1.0])
