"""How well the semantic index answers: a made-up corpus, questions with known answers, and measures."""
