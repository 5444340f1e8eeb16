"""Telephone numbers in one spelling, E.164, so that `+41…`, `0041…` and `0…` are one party.

We change only the beginning of a number, by the prefixes: `+` and `00` come before a country's
code, and a single `0` before a number of one's own country. To know more, such as how long a number
may be, would take the tables of all numbering plans, and would compare nothing better.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Final

from boxis_async.errors import UsageError

__all__ = ["check_country", "e164", "spelled"]

# Characters of a number that is remembered: a hostile caller may fill gigabytes.
_LONGEST_REMEMBERED: Final = 64
_SEPARATORS = re.compile(r"[\s().\-/]+")
_DIGITS = re.compile(r"\+?[0-9]+")
# `+41 (0)44 …`: the zero is dialled within the country only.
_TRUNK_ZERO = re.compile(r"\(0\)")
# Where the zero stays behind the country's code.
_KEEPS_ZERO: Final = frozenset({"IT", "SM", "VA", "CI", "GA", "CG"})

# ITU-T E.164 assigned country codes, by the countries of ISO 3166.
_CODES = """
1 US CA PR JM DO TT BS BB BM GD KY AG AI VG VI MS TC LC DM VC KN GU AS MP SX
7 RU KZ  20 EG  27 ZA  30 GR  31 NL  32 BE  33 FR  34 ES  36 HU  39 IT VA  40 RO  41 CH  43 AT
44 GB GG IM JE  45 DK  46 SE  47 NO SJ  48 PL  49 DE  51 PE  52 MX  53 CU  54 AR  55 BR  56 CL
57 CO  58 VE  60 MY  61 AU CX CC  62 ID  63 PH  64 NZ  65 SG  66 TH  81 JP  82 KR  84 VN  86 CN
90 TR  91 IN  92 PK  93 AF  94 LK  95 MM  98 IR  211 SS  212 MA EH  213 DZ  216 TN  218 LY  220 GM
221 SN  222 MR  223 ML  224 GN  225 CI  226 BF  227 NE  228 TG  229 BJ  230 MU  231 LR  232 SL
233 GH  234 NG  235 TD  236 CF  237 CM  238 CV  239 ST  240 GQ  241 GA  242 CG  243 CD  244 AO
245 GW  246 IO  248 SC  249 SD  250 RW  251 ET  252 SO  253 DJ  254 KE  255 TZ  256 UG  257 BI
258 MZ  260 ZM  261 MG  262 RE YT  263 ZW  264 NA  265 MW  266 LS  267 BW  268 SZ  269 KM  290 SH
291 ER  297 AW  298 FO  299 GL  350 GI  351 PT  352 LU  353 IE  354 IS  355 AL  356 MT  357 CY
358 FI AX  359 BG  370 LT  371 LV  372 EE  373 MD  374 AM  375 BY  376 AD  377 MC  378 SM  380 UA
381 RS  382 ME  383 XK  385 HR  386 SI  387 BA  389 MK  420 CZ  421 SK  423 LI  500 FK  501 BZ
502 GT  503 SV  504 HN  505 NI  506 CR  507 PA  508 PM  509 HT  590 GP BL MF  591 BO  592 GY
593 EC  594 GF  595 PY  596 MQ  597 SR  598 UY  599 CW BQ  670 TL  672 NF  673 BN  674 NR  675 PG
676 TO  677 SB  678 VU  679 FJ  680 PW  681 WF  682 CK  683 NU  685 WS  686 KI  687 NC  688 TV
689 PF  690 TK  691 FM  692 MH  850 KP  852 HK  853 MO  855 KH  856 LA  880 BD  886 TW  960 MV
961 LB  962 JO  963 SY  964 IQ  965 KW  966 SA  967 YE  968 OM  970 PS  971 AE  972 IL  973 BH
974 QA  975 BT  976 MN  977 NP  992 TJ  993 TM  994 AZ  995 GE  996 KG  998 UZ
"""


@cache
def _calling_codes() -> dict[str, str]:
    codes: dict[str, str] = {}
    code = ""
    for word in _CODES.split():
        if word.isdigit():
            code = word
        else:
            codes[word] = code
    return codes


def check_country(country: object) -> str:
    """Give the code of a country as it is written.

    Raises:
        UsageError: It is no country of ISO 3166 with a calling code.
    """
    if isinstance(country, str) and (found := country.strip().upper()) in _calling_codes():
        return found
    raise UsageError(f"country must be two letters of ISO 3166, such as 'CH', not {country!r}")


def e164(number: str, country: str = "CH") -> str:
    """Write a telephone number in one spelling, to compare it.

    `+41 44 555 01 23`, `0041445550123` and `044 555 01 23` are all `+41445550123`. What has no such
    prefix, such as an extension, an emergency number or a name, stays as it is, without spaces at
    its ends.

    Args:
        number: The number, as somebody wrote it.
        country: The country that a number with a single leading 0 is of, as ISO 3166 writes it.

    Raises:
        UsageError: There is no such country.
    """
    return spelled(number, check_country(country))


def spelled(number: str, country: str) -> str:
    """Write a number as `e164` does, where the country is known to be one."""
    is_short = len(number) <= _LONGEST_REMEMBERED
    return (_spelled if is_short else _spelled.__wrapped__)(number, country)


# The same numbers come again and again; to look one up takes 0.1 µs, to spell it 1.5.
@lru_cache(maxsize=1 << 16)
def _spelled(number: str, country: str) -> str:
    plain = _SEPARATORS.sub("", _TRUNK_ZERO.sub("", number) if "(0)" in number else number)
    if not _DIGITS.fullmatch(plain):
        return number.strip()
    if plain.startswith("+"):
        return plain
    if plain.startswith("00"):
        return f"+{plain[2:]}" if len(plain) > len("00") else plain
    if plain.startswith("0") and len(plain) > 1:
        rest = plain if country in _KEEPS_ZERO else plain[1:]
        return f"+{_calling_codes()[country]}{rest}"
    return plain
