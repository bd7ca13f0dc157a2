"""The largest eigenvectors of a Gram matrix MᵀM, in bounded work whatever its spectrum.

Dense where the side is short, else by Lanczos. Lanczos may need for ever, or miss some of several
equal eigenvalues: then a block of vectors is filtered by Chebyshev polynomials a fixed number of
times.
"""

import numpy as np
from scipy import linalg, sparse
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

from recsys.core.arrays import Float64Array

_DENSE_SIDE = 2_500
"""Up to here a dense solution takes seconds: 50 MB, and twice that while it computes."""
_RESTARTS = 12  # of Lanczos; logs whose spectrum falls need two to five
_CHECK_STEPS = 60
_CHECK_TOLERANCE = 1e-6
_ROUNDING = 1e-13

_SPARE_VECTORS = 16  # a block is wider than what is asked for by this many, and a tenth
_LARGEST_DEGREE = 24
_LARGEST_GROWTH = 1e8  # of a filter: what it makes smaller by more than that drowns in rounding
_ROUNDS = 20
_BLOCK_PRODUCTS = 2e11  # multiply-adds of all rounds: some five minutes of one core
_RESIDUAL = 1e-9  # of the largest eigenvalue; the eigenvalues are then right to rounding
_COLUMNS = 64  # of a block that are filtered at a time: they fit into a cache


def largest_eigenvectors(matrix: sparse.csr_matrix, rank: int, seed: int) -> Float64Array:
    """(columns, min(rank, columns)) orthonormal vectors that span the largest eigenvectors of MᵀM.

    The same arguments give the same bytes. Where an eigenvalue is repeated, any of its vectors may
    come.

    Args:
        matrix: M, (rows, columns) float64, at least as many rows as columns.
        rank: vectors that are wanted.
        seed: of the first vectors.
    """
    side = matrix.shape[1]
    if side <= max(_DENSE_SIDE, 2 * rank):
        return _dense(matrix, min(rank, side))
    try:
        vectors = _lanczos(matrix, rank, seed)
    except ArpackError:
        return _filtered_block(matrix, rank, seed)
    if _misses_some(matrix, vectors, seed):
        return _filtered_block(matrix, rank, seed)
    return vectors


def _dense(matrix: sparse.csr_matrix, rank: int) -> Float64Array:
    gram = (matrix.T @ matrix).toarray()
    side = len(gram)
    _, vectors = linalg.eigh(gram, subset_by_index=(side - rank, side - 1), driver="evr")
    return np.asarray(vectors)


def _lanczos(matrix: sparse.csr_matrix, rank: int, seed: int) -> Float64Array:
    """By ARPACK, to rounding. Raises ArpackError when the restarts do not suffice."""
    side = matrix.shape[1]
    transposed = matrix.T.tocsr()
    operator = LinearOperator(
        (side, side), matvec=lambda vector: transposed @ (matrix @ vector), dtype=np.float64
    )
    rng = np.random.default_rng(seed)
    start = rng.standard_normal(side)
    _, vectors = eigsh(operator, k=rank, v0=start, maxiter=_RESTARTS, rng=rng)
    return np.asarray(vectors)


def _misses_some(matrix: sparse.csr_matrix, vectors: Float64Array, seed: int) -> bool:
    """Whether MᵀM has a larger eigenvalue beside those of `vectors` (columns, rank).

    The largest value of what the vectors leave over, by Lanczos steps of our own: one value needs
    few of them.
    """
    images = matrix @ vectors
    eigenvalues = np.einsum("nk,nk->k", images, images)
    smallest, largest = eigenvalues.min(), eigenvalues.max()
    rng = np.random.default_rng([seed, 1])
    start = rng.standard_normal(len(vectors))
    basis = np.zeros((_CHECK_STEPS, len(vectors)))
    basis[0] = _unit(_beside(start, vectors))
    diagonal = np.zeros(_CHECK_STEPS)
    neighbours = np.zeros(_CHECK_STEPS)
    steps = 0
    for step in range(_CHECK_STEPS):
        # αᵢ = qᵢ · G qᵢ
        image = matrix.T @ (matrix @ basis[step])
        diagonal[step] = basis[step] @ image
        steps = step + 1
        # βᵢ qᵢ₊₁ = G qᵢ − αᵢ qᵢ − βᵢ₋₁ qᵢ₋₁, orthogonal to all before and to the vectors.
        image = _beside(image, vectors)
        image -= basis[:steps].T @ (basis[:steps] @ image)
        image -= basis[:steps].T @ (basis[:steps] @ image)
        length = np.linalg.norm(image)
        if steps == _CHECK_STEPS or length <= _ROUNDING * largest:
            break
        neighbours[step] = length
        basis[steps] = image / length
    values = linalg.eigvalsh_tridiagonal(diagonal[:steps], neighbours[: steps - 1])
    return bool(values[-1] > smallest + _CHECK_TOLERANCE * largest)


def _filtered_block(matrix: sparse.csr_matrix, rank: int, seed: int) -> Float64Array:
    """By subspace iteration with Chebyshev filters (Zhou and Saad 2007), a bounded number of them.

    Equal eigenvalues do no harm: a whole block goes through the filter at once.
    """
    side = matrix.shape[1]
    width = min(side, rank + rank // 10 + _SPARE_VECTORS)
    transposed = matrix.T.tocsr()
    start = np.random.default_rng([seed, 2]).standard_normal((side, width))
    block, _ = np.linalg.qr(start)
    values, block, residual = _rayleigh_ritz(matrix, transposed, block, rank)
    products, lowering = 0.0, 1.0
    for _ in range(_ROUNDS):
        if residual <= _RESIDUAL * values[0] or products > _BLOCK_PRODUCTS:
            break
        # What lies below the border is damped: below all that the block holds.
        border = lowering * values[-1]
        degree = _degree(values[0], border)
        for first in range(0, width, _COLUMNS):
            columns = slice(first, first + _COLUMNS)
            filtered = _filtered(matrix, transposed, block[:, columns], degree, border)
            block[:, columns] = filtered
        block, _ = np.linalg.qr(block)
        last_residual = residual
        values, block, residual = _rayleigh_ritz(matrix, transposed, block, rank)
        if residual > last_residual / 2:
            # The border lies among equal eigenvalues, and nothing beyond it grows more than they.
            lowering *= 0.9
        products += 2.0 * (degree + 1) * (matrix.nnz + side) * width
    return block[:, :rank]


def _rayleigh_ritz(
    matrix: sparse.csr_matrix, transposed: sparse.csr_matrix, block: Float64Array, rank: int
) -> tuple[Float64Array, Float64Array, float]:
    """Eigenvalues within the span of a block, falling, their vectors, and how far the worst of the
    first `rank` is from being an eigenvector.
    """
    images = transposed @ (matrix @ block)
    # The eigenvectors of BᵀGB are those of G within the span of B.
    small = block.T @ images
    values, rotation = linalg.eigh((small + small.T) / 2)
    values, rotation = values[::-1], rotation[:, ::-1]
    vectors = block @ rotation
    # ‖G v − λ v‖
    errors = images @ rotation[:, :rank] - vectors[:, :rank] * values[:rank]
    residual = float(np.linalg.norm(errors, axis=0).max())
    return np.maximum(values, 0.0), vectors, residual


def _degree(largest: float, border: float) -> int:
    """The highest degree whose filter does not grow the largest eigenvalue out of proportion."""
    if border <= 0 or largest <= border:
        return 1
    # T_d(x) = cosh(d · acosh x) beyond 1, at x = 2 λ / border − 1
    growth_rate = np.arccosh(2 * largest / border - 1)
    degree = int(np.arccosh(_LARGEST_GROWTH) / growth_rate)
    return int(np.clip(degree, 1, _LARGEST_DEGREE))


def _filtered(
    matrix: sparse.csr_matrix,
    transposed: sparse.csr_matrix,
    block: Float64Array,
    degree: int,
    border: float,
) -> Float64Array:
    """T_d((2 G − b) / b) B: what lies beyond the border b grows, what lies in [0, b] does not.

    Args:
        matrix: M, with G = MᵀM.
        transposed: Mᵀ.
        block: B, (columns, width).
        degree: d.
        border: b; G itself is the filter where it is 0.
    """
    before = block
    current = np.asarray(transposed @ (matrix @ block))
    if border <= 0:
        return current
    current = current * (2 / border) - block
    for _ in range(degree - 1):
        # T_{n+1}(x) = 2 x T_n(x) − T_{n−1}(x)
        image = transposed @ (matrix @ current)
        following = image * (4 / border) - 2 * current - before
        before, current = current, following
    return current


def _beside(vector: Float64Array, vectors: Float64Array) -> Float64Array:
    """What of a vector is orthogonal to `vectors`; twice, for rounding."""
    for _ in range(2):
        vector = vector - vectors @ (vectors.T @ vector)
    return np.asarray(vector)


def _unit(vector: Float64Array) -> Float64Array:
    length = max(float(np.linalg.norm(vector)), 1e-300)
    return np.asarray(vector / length)
