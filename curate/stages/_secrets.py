"""Patterns of keys and tokens, as their issuers document them.

Only shapes with a prefix of their own: guesses by entropy or by names of variables are wrong too often in prose.
"""

import re

SHAPES = {
    "aws": r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    "github": r"\bgh[pousr]_[A-Za-z0-9]{36}\b|\bgithub_pat_[A-Za-z0-9_]{82}\b",
    "gitlab": r"\bglpat-[A-Za-z0-9_-]{20}",
    "slack": r"\bxox[abeprs]-[A-Za-z0-9-]{10,250}",
    "google": r"\bAIza[A-Za-z0-9_-]{35}",
    "stripe": r"\b[rs]k_live_[A-Za-z0-9]{24,247}",
    "openai": r"\bsk-(?:proj|svcacct|admin)-[A-Za-z0-9_-]{40,250}|\bsk-[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}\b",
    "anthropic": r"\bsk-ant-[A-Za-z0-9_-]{40,250}",
    "hugging_face": r"\bhf_[A-Za-z]{34}\b",
    "npm": r"\bnpm_[A-Za-z0-9]{36}\b",
    "pypi": r"\bpypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50,250}",
    "jwt": r"\beyJ[A-Za-z0-9_-]{10,2000}\.eyJ[A-Za-z0-9_-]{10,8000}\.[A-Za-z0-9_-]{10,2000}",
    "private_key": r"-----BEGIN (?:[A-Z]{1,16} ){0,3}PRIVATE KEY-----[A-Za-z0-9+/=\s\\]{40,20000}"
    r"-----END (?:[A-Z]{1,16} ){0,3}PRIVATE KEY-----",
}

SECRET = re.compile("|".join(SHAPES.values()), re.ASCII)

HINT = (
    r"AKIA|ASIA|gh[pousr]_|github_pat_|glpat-|xox[abeprs]-|AIza|[rs]k_live_|sk-[a-zA-Z0-9]|hf_[A-Za-z]|npm_[A-Za-z0-9]"
    r"|pypi-AgEI|eyJ[A-Za-z0-9_-]{10}|PRIVATE KEY-----"
)
"""What every secret has, for a quick look by RE2 first."""
