"""What people may be shown: names and reasons, which every capability takes."""

from __future__ import annotations

import unicodedata

__all__ = ["text_problem"]


def text_problem(text: str, longest: int) -> str | None:
    """Why the text is none of one line that says something, or None when it is."""
    if not text.strip() or len(text) > longest:
        return f"must be 1 to {longest} characters and not only spaces"
    if any(unicodedata.category(each) in {"Cc", "Zl", "Zp"} for each in text):
        return "must be one line without control characters"
    return None
