"""TF-IDF of words and character n-grams, by truncated SVD (LSA: Deerwester et al. 1990).

Fitted by scikit-learn, applied by numpy and scipy alone, so that a bundle can hold it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from recsys.content.tokens import terms_of
from recsys.core.arrays import Float32Array

DIMENSIONS = 128
_MOST_TERMS = 20_000
_SHORTEST = 1e-3  # of a text's projection, its terms having length 1
_FEWEST_TEXTS = 2  # a term of one text says nothing of another


@dataclass(frozen=True)
class TfidfEncoder:
    """A text as its weighted terms, projected: rows of length 1, zeros without a known term.

    terms: ascending.
    idf: (terms,).
    components: (terms, d).
    """

    terms: tuple[str, ...]
    idf: Float32Array
    components: Float32Array

    @property
    def width(self) -> int:
        return int(self.components.shape[1])

    def encode(self, inputs: Sequence[str]) -> Float32Array:
        """(n, d)."""
        vectors = np.asarray(self.weighted_terms(inputs) @ self.components, np.float32)
        # What is left of terms that the components leave out is rounding.
        vectors[np.linalg.norm(vectors, axis=1) < _SHORTEST] = 0
        return rows_of_length_1(vectors)

    def weighted_terms(self, texts: Sequence[str]) -> sparse.csr_matrix:
        """(n, terms) (1 + ln count) · idf, rows of length 1."""
        columns: list[int] = []
        ends = [0]
        for text in texts:
            known = [term for term in terms_of(text) if term in self._column_of]
            columns += [self._column_of[term] for term in known]
            ends.append(len(columns))
        # (texts, terms): a 1 for each time that a term occurs, added up to counts.
        shape = (len(texts), len(self.terms))
        ones = np.ones(len(columns), np.float32)
        counts = sparse.csr_matrix((ones, columns, ends), shape=shape)
        counts.sum_duplicates()
        # As scikit-learn weighs when it fits: (1 + ln count) · idf, then rows of length 1.
        counts.data = (1 + np.log(counts.data)) * self.idf[counts.indices]
        squares = np.asarray(counts.multiply(counts).sum(axis=1)).ravel()
        lengths = np.sqrt(squares)
        inverse = np.zeros_like(lengths)
        np.divide(1.0, lengths, out=inverse, where=lengths > 0)
        return (sparse.diags(inverse) @ counts).tocsr().astype(np.float32)

    @cached_property
    def _column_of(self) -> dict[str, int]:
        return {term: column for column, term in enumerate(self.terms)}


def fit_tfidf(texts: Sequence[str], dimensions: int = DIMENSIONS, seed: int = 0) -> TfidfEncoder:
    """From the texts of a phase's items; empty ones do not count.

    Terms of at least two texts, the 20,000 most frequent. Fewer dimensions where the texts have no
    more to say. The same texts and seed give the same bytes.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.utils.extmath import randomized_svd

    present = [text for text in texts if text]
    vectorizer = TfidfVectorizer(
        analyzer=_listed_terms,
        min_df=_FEWEST_TEXTS,
        max_features=_MOST_TERMS,
        sublinear_tf=True,
        dtype=np.float32,
    )
    try:
        matrix = vectorizer.fit_transform(present)
    except ValueError:  # no term is in two texts
        nothing = np.zeros((0, 0), np.float32)
        return TfidfEncoder((), np.zeros(0, np.float32), nothing)
    terms = tuple(vectorizer.get_feature_names_out().tolist())
    idf = np.asarray(vectorizer.idf_, np.float32)
    # Fewer than the largest rank that the matrix can have.
    width = min(dimensions, min(matrix.shape) - 1)
    if width < 1:
        # One text, or one term: what there is to tell is the terms themselves.
        return TfidfEncoder(terms, idf, np.eye(len(terms), 1, dtype=np.float32))
    # X ≈ U Σ Vᵀ; a text x has the coordinates x V, (d,). components is Vᵀ, (d, terms).
    _, _, components = randomized_svd(matrix, width, random_state=seed)
    return TfidfEncoder(terms, idf, np.ascontiguousarray(components.T, np.float32))


def rows_of_length_1(vectors: Float32Array) -> Float32Array:
    """(n, d) scaled; rows of zeros stay."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled = np.zeros_like(vectors)
    np.divide(vectors, lengths, out=scaled, where=lengths > 0)
    return scaled


def _listed_terms(text: str) -> list[str]:
    return list(terms_of(text))
