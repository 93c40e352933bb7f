"""What the peers look for: eleven value patterns and the key names, in RE2's syntax.

They cost what a first, hand-written redaction costs. The gate brings its own default pack.
"""

from typing import Final

__all__ = ["KEY_PATTERNS", "VALUE_PATTERNS"]

VALUE_PATTERNS: Final[tuple[str, ...]] = (
    r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}",  # JSON Web Token
    r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b",  # AWS access key id
    r"\bgh[pousr]_[A-Za-z0-9]{36}\b",  # GitHub token
    r"\bxox[abprs]-[A-Za-z0-9-]{10,}",  # Slack token
    r"\bsk_live_[A-Za-z0-9]{24,}\b",  # Stripe key
    r"\bAIza[A-Za-z0-9_-]{35}",  # Google API key
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    r"[a-z][a-z0-9+.-]*://[^/\s:@]+:[^/\s:@]+@",  # user and password in a URL
    r"(?i)\bbearer\s+[A-Za-z0-9._~+/-]{16,}",
    r"(?i)\b(?:password|passwd|secret|token|api_?key)\s*[=:]\s*\S+",
    r"\b(?:\d[ -]?){13,16}\b",  # payment card
)

KEY_PATTERNS: Final[tuple[str, ...]] = (
    r"(?i)(?:password|passwd|secret|token|api[._-]?key|authorization|credential)",
)
