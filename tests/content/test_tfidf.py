"""TF-IDF is scikit-learn's, applied without it."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline

from recsys.content.tfidf import fit_tfidf
from recsys.content.tokens import terms_of

TEXTS = [
    "Red retrospot lamp",
    "Blue retrospot lamp",
    "Red mug",
    "Blue mug with a lid",
    "Lámpara roja",
    "red red mug",
    "赤いランプ",
    "青いランプ",
]


def test_terms_by_hand() -> None:
    assert list(terms_of("Cats!")) == [
        *["=cats", " ca", "cat", "ats", "ts "],
        *[" cat", "cats", "ats "],
        *[" cats", "cats "],
    ]
    assert list(terms_of("  — ")) == []


def test_equal_to_the_pipeline_of_scikit_learn() -> None:
    encoder = fit_tfidf(TEXTS, 4, seed=3)
    vectorizer = TfidfVectorizer(
        analyzer=lambda text: list(terms_of(text)), min_df=2, sublinear_tf=True
    )
    pipeline = make_pipeline(vectorizer, TruncatedSVD(4, random_state=3))
    expected = pipeline.fit_transform(TEXTS)
    lengths = np.linalg.norm(expected, axis=1, keepdims=True)
    expected /= np.where(lengths > 1e-6, lengths, 1)
    vectors = encoder.encode(TEXTS)
    # Components may point either way.
    assert np.allclose(vectors @ vectors.T, expected @ expected.T, atol=1e-4)


def test_likeness_is_that_of_the_words() -> None:
    vectors = fit_tfidf(TEXTS, 4).encode([*TEXTS, "retrospot", "retro-spots"])
    cosines = vectors[8] @ vectors[:8].T
    assert set(np.argsort(-cosines)[:2]) == {0, 1}
    assert vectors[9] @ vectors[0] > 0.5 > vectors[9] @ vectors[6]


def test_a_text_without_a_known_term_is_zero() -> None:
    vectors = fit_tfidf(TEXTS, 4).encode(["", "zzz", "\N{SNOWMAN}"])
    assert vectors.shape == (3, 4) and not vectors.any()


def test_texts_that_have_nothing_in_common() -> None:
    for texts in ([], ["", ""], ["lamp"], ["ab", "cd"]):
        encoder = fit_tfidf(texts)
        assert len(encoder.encode(["lamp"])) == 1
    alike = fit_tfidf(["lamp", "lamp"])
    assert np.isfinite(alike.encode(["lamp"])).all()


def test_the_same_texts_give_the_same_bytes() -> None:
    first, second = fit_tfidf(TEXTS, 4, seed=1), fit_tfidf(TEXTS, 4, seed=1)
    assert first.components.tobytes() == second.components.tobytes()
    assert first.terms == second.terms


FITTED = fit_tfidf(TEXTS, 4)


@given(st.lists(st.text(max_size=30), min_size=1, max_size=6))
def test_any_text_has_a_row_of_length_1_or_0(texts: list[str]) -> None:
    vectors = FITTED.encode(texts)
    lengths = np.linalg.norm(vectors, axis=1)
    assert np.all(np.isclose(lengths, 1, atol=1e-5) | (lengths == 0))
    alone = FITTED.encode(texts[:1])
    assert np.array_equal(vectors[0], alone[0])
