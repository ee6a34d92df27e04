"""Pages in scripts without spaces, and from right to left, are told by the same signs as others."""

import pytest
from test_main_content import text_of

PAGES = {
    "zh": (
        "河流把泥沙从山上带到大海，大海又把它还给海滩。",
        "水坝拦住泥沙以后，下游的海滩一年比一年小，工程师已经测量了几十年。",
        ["首页", "新闻", "体育", "联系我们", "关于本站"],
    ),
    "ja": (
        "川は山から海へ砂を運び、海はそれを浜辺に返します。",
        "ダムが砂を止めると、下流の浜辺は年々小さくなり、技術者は何十年もそれを測ってきました。",
        ["ホーム", "ニュース", "スポーツ", "お問い合わせ", "会社概要"],
    ),
    "th": (
        "แม่น้ำพัดพาทรายจากภูเขาลงสู่ทะเล และทะเลก็คืนทรายให้แก่ชายหาด",
        "เมื่อเขื่อนกั้นทรายไว้ ชายหาดที่อยู่ด้านล่างก็เล็กลงทุกปี วิศวกรได้วัดเรื่องนี้มาหลายสิบปีแล้ว",
        ["หน้าแรก", "ข่าว", "กีฬา", "ติดต่อเรา", "เกี่ยวกับเรา"],
    ),
    "ar": (
        "تحمل الأنهار الرمال من الجبال إلى البحر، ويعيدها البحر إلى الشواطئ.",
        "عندما يوقف السد الرمال، تصغر الشواطئ التي تحته عاما بعد عام، وقد قاس المهندسون ذلك منذ عقود.",
        ["الرئيسية", "أخبار", "رياضة", "اتصل بنا", "من نحن"],
    ),
    "he": (
        "הנהרות נושאים חול מן ההרים אל הים, והים מחזיר אותו אל החופים.",
        "כאשר סכר עוצר את החול, החופים שמתחתיו קטנים משנה לשנה, ומהנדסים מודדים זאת עשרות שנים.",
        ["דף הבית", "חדשות", "ספורט", "צור קשר", "אודות"],
    ),
}


@pytest.mark.parametrize("language", PAGES)
def test_the_article_is_kept_and_the_menus_go(language):
    first, second, entries = PAGES[language]
    links = "".join(f'<li><a href="/{number}">{entry}</a></li>' for number, entry in enumerate(entries * 3))
    way = "rtl" if language in ("ar", "he") else "ltr"
    paragraphs = "".join(f"<p>{first} {second} {first}</p>" for _ in range(4))
    page = (
        f'<!doctype html><html lang="{language}" dir="{way}"><head><meta charset="utf-8"><title>{first}</title></head>'
        f"<body><nav><ul>{links}</ul></nav><main><article><h1>{first}</h1>{paragraphs}</article></main>"
        f'<footer><p><a href="/a">{entries[3]}</a> <a href="/b">{entries[4]}</a> © 2026</p></footer></body></html>'
    )
    text = text_of(page)
    assert text.count(second) == 4
    assert not any(entry in text.splitlines() for entry in entries)
    assert "© 2026" not in text
