"""Operations: work that takes longer than a call, its progress and its outcome."""
