"""Which passwords are accepted."""

from __future__ import annotations

import pytest

from tenantmesh.auth_svc.passwords.passwords import PasswordRules, normalise

RULES = PasswordRules.load()
OWNER = ("alice@example.com", "Alice Liddell", "acme", "tenantmesh")

EASY = [
    "passwordpassword",
    "password1234567",
    "P@ssw0rdP@ssw0rd1",
    "qwertyuiopasdfgh",
    "1qaz2wsx3edc4rfv",
    "1q2w3e4r5t6y7u8i",
    "zaq1xsw2cde3vfr4",
    "aaaaaaaaaaaaaaa",
    "abcabcabcabcabcabc",
    "abcdefghijklmnopqrst",
    "987654321098765",
    "Summer2024Summer2024",
    "iloveyouforever!!",
    "thisismypassword",
    "letmeinletmeinplease",
    "111222333444555",
    "mypasswordissecret",
    "dragonmonkeyshadow1",
    "xK9#mxK9#mxK9#mxK9#m",
]
MADE_OF_THE_OWNER = [
    "alice@example.com",
    "alice.example.com",
    "aliceexample2024",
    "AliceLiddell2024",
    "acmeacmealice123",
]
FINE = [
    "correct horse battery staple",
    "xK9#mQ2$vL7@pR4",
    "a long walk by the river",
    "zwei Pferde im Garten",
    "dragon monkey football shadow",
    "Mîxed ünïcode þing",
    "длинный пароль для всех",
]


@pytest.mark.parametrize("password", EASY)
def test_a_password_made_of_what_is_well_known_is_refused(password: str) -> None:
    refusal = RULES.refusal(normalise(password))
    assert refusal is not None
    assert "easy to guess" in refusal


@pytest.mark.parametrize("password", MADE_OF_THE_OWNER)
def test_a_password_made_of_its_owner_is_refused(password: str) -> None:
    padded = password.ljust(15, "1")
    refusal = RULES.refusal(padded, OWNER)
    assert refusal is not None
    assert "easy to guess" in refusal


def test_words_of_the_owner_count_only_for_the_owner() -> None:
    password = "liddell-cheshire"
    assert RULES.surprise(password, OWNER) < RULES.surprise(password)


@pytest.mark.parametrize("password", FINE)
def test_a_password_that_can_not_be_guessed_is_accepted_whatever_its_characters(password: str) -> None:
    assert RULES.refusal(normalise(password), OWNER) is None


@pytest.mark.parametrize(("length", "accepted"), [(0, False), (14, False), (15, True), (128, True), (129, False)])
def test_length_counts_characters_from_15_to_128(length: int, accepted: bool) -> None:
    varied = "xK9#mQ2$vL7@pR4 ñ wüßte gern: 5 Bäume, 3 Häuser / zwölf Ruderboote; " * 2
    refusal = RULES.refusal(varied[:length])
    assert (refusal is None) is accepted
    assert accepted or "15 to 128 characters" in str(refusal)


def test_length_counts_after_normalisation() -> None:
    fourteen_as_fifteen = "xK9#mQ2$vL7@pe\u0301"
    assert len(fourteen_as_fifteen) == 15
    assert "15 to 128" in str(RULES.refusal(normalise(fourteen_as_fifteen)))


def test_every_keyboard_spells_a_password_alike() -> None:
    assert normalise("ﬁne \uff30assword e\u0301 ①") == "fine Password \u00e9 1"


def test_the_refusal_does_not_repeat_the_password() -> None:
    assert "qwertyuiop" not in str(RULES.refusal("qwertyuiopasdfgh"))
