"""Operations: what takes long, and what became of it."""
