"""Detect pages that answer 200 and say "page not found".

Precision goes before recall: a page is taken for an error only when it is short and a whole part of its
title, or its whole first line, is such a message. An article about HTTP 404 has neither.
"""

import re

SHORT, VERY_SHORT = 1500, 500
"""Characters of text from which on a page is no error page; and from which on only a clear title counts."""

_MESSAGES = """
404 not found|error 404|404 error|http error 404|error 404 not found|404 page not found|page not found
the page was not found|file not found|object not found|url not found|document not found
page cannot be found|the page cannot be found|page can't be found|that page can't be found
page does not exist|oops! that page can't be found|oops! page not found|this page does not exist
this page doesn't exist|sorry, page not found|sorry, this page isn't available
the resource cannot be found|we can't find that page|we couldn't find that page|content not found
no page found|410 gone|error 410|403 forbidden|error 403|403 error|access forbidden|403 access denied
400 bad request|401 unauthorized|500 internal server error|internal server error|error 500|500 error
502 bad gateway|503 service unavailable|503 service temporarily unavailable
service temporarily unavailable|504 gateway time-out|504 gateway timeout|429 too many requests
error establishing a database connection|account suspended|this account has been suspended
bandwidth limit exceeded|509 bandwidth limit exceeded|seite nicht gefunden
die seite wurde nicht gefunden|seite wurde nicht gefunden|fehler 404|404 fehler|page non trouvée
page introuvable|page inexistante|erreur 404|404 erreur|fichier non trouvé|página no encontrada
no se encontró la página|la página no existe|página no existe|página inexistente|página não encontrada
erro 404|página não existe|pagina non trovata|errore 404|pagina inesistente|pagina niet gevonden
fout 404|deze pagina bestaat niet|sidan hittades inte|sidan kunde inte hittas|sidan finns inte
siden blev ikke fundet|siden findes ikke|siden ble ikke funnet|siden finnes ikke|sivua ei löytynyt
sivua ei löydy|nie znaleziono strony|strona nie istnieje|strona nie została znaleziona|błąd 404
stránka nenalezena|stránka nebyla nalezena|chyba 404|stránka sa nenašla|stránka nebola nájdená
stran ni najdena|az oldal nem található|a keresett oldal nem található|pagina nu a fost găsită
pagina nu există|eroare 404|sayfa bulunamadı|aradığınız sayfa bulunamadı|404 hatası
stranica nije pronađena|страница није пронађена|страница не найдена|ошибка 404|404 ошибка
страница не существует|страницата не е намерена|грешка 404|сторінку не знайдено|сторінка не знайдена
помилка 404|η σελίδα δεν βρέθηκε|σφάλμα 404|η σελίδα δεν υπάρχει|הדף לא נמצא|העמוד לא נמצא|שגיאה 404
404 שגיאת|الصفحة غير موجودة|لم يتم العثور على الصفحة|خطأ 404|صفحه مورد نظر یافت نشد|صفحه یافت نشد
خطای 404|पृष्ठ नहीं मिला|पेज नहीं मिला|ไม่พบหน้า|ไม่พบหน้าที่คุณต้องการ|không tìm thấy trang
trang không tồn tại|lỗi 404|halaman tidak ditemukan|laman tidak ditemukan|ページが見つかりません
ページが見つかりませんでした|お探しのページは見つかりませんでした|404エラー|页面不存在|找不到页面
未找到页面|页面未找到|404错误|您访问的页面不存在|頁面不存在|找不到網頁|找不到頁面|404錯誤
페이지를 찾을 수 없습니다|404 오류|404 에러|존재하지 않는 페이지입니다
"""
_ALSO_TITLES = """
not found|access denied|bad request|server error|runtime error|database error|just a moment
attention required|bad gateway|service unavailable|too many requests|gateway timeout|page unavailable
page missing|nicht gefunden|no encontrado|nie znaleziono|404
"""


def _set(lines: str) -> frozenset[str]:
    return frozenset(message for line in lines.strip().split("\n") for message in line.split("|"))


MESSAGES = _set(_MESSAGES)
ALL_MESSAGES = MESSAGES | _set(_ALSO_TITLES)
"""With those that a song or a film may have for its title: they count on very short pages only."""

_PARTS = re.compile(r"(?<!\s)\s++[-–—:»«·•>/]++\s++|(?:(?<!\s)\s++)?+[|:»«·•]\s*+")
_CODE = re.compile(r"^(?:http )?(?:error )?40[34]\W++|(?<!\W)\W++(?:error )?40[34]$")
_EDGES = " \t\n\r.!?¡¿…。！()[]<>\"'“”«»*-–—:|"
_BODY = re.compile(
    r"was not found on this server"
    r"|the page (?:that )?you(?:'re| are| were|'ve| have)? "
    r"(?:requested|looking for|trying to (?:reach|view|access))[^.\n]{0,60}"
    r"(?:not found|(?:could not|couldn't|cannot|can not|can't) be found|(?:does not|doesn't|no longer) exist)"
)


def is_error_page(title: str | None, text: str) -> bool:
    """Whether a page that answered 200 says that there is no such page, or no access to it."""
    if len(text) >= SHORT:
        return False
    text = text.strip()
    messages = ALL_MESSAGES if len(text) < VERY_SHORT else MESSAGES
    if title and any(_is_one_of(messages, part) for part in (title, *_PARTS.split(title))):
        return True
    if len(text) >= VERY_SHORT:
        return False
    return _is_one_of(messages, text.split("\n", 1)[0]) or _BODY.search(_folded(text)) is not None


def _is_one_of(messages: frozenset[str], part: str) -> bool:
    part = " ".join(_folded(part).split()).strip(_EDGES)
    return part in messages or _CODE.sub("", part).strip(_EDGES) in messages


def _folded(text: str) -> str:
    return text.lower().replace("’", "'")
