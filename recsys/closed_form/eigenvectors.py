"""The largest eigenvectors of a Gram matrix MᵀM, in bounded work whatever its spectrum.

Dense where the side is short, else by Lanczos with blocks of vectors, a bounded number of cycles.
Where those do not suffice, or missed some of many equal eigenvalues, Chebyshev polynomials filter
what they found, a bounded number of times too.
"""

import numpy as np
from scipy import linalg, sparse

from recsys.core.arrays import Float64Array
from recsys.core.progress import QUIET, Progress

_DENSE_SIDE = 2_500
"""Up to here a dense solution takes seconds: 50 MB, and twice that while it computes."""
TO_ROUNDING = 1e-9
"""How far G v may be from λ v, of the largest eigenvalue: eigenvalues are then right to rounding."""

_BLOCK = 16  # vectors that Lanczos takes along at once: few passes over memory
_CYCLES = 15  # of Lanczos; logs whose spectrum falls need four to nine
_CHECK_STEPS = 60
_CHECK_TOLERANCE = 1e-6
_ROUNDING = 1e-13

_SPARE_VECTORS = 16  # a filtered block is wider than what is asked for by this many, and a tenth
_LARGEST_DEGREE = 24
_LARGEST_GROWTH = 1e8  # of a filter: what it makes smaller by more than that drowns in rounding
_ROUNDS = 20
_FILTER_PRODUCTS = 2e11  # multiply-adds of all rounds: some five minutes of one core
_COLUMNS = 64  # of a block that are filtered at a time: they fit into a cache


def largest_eigenvectors(
    matrix: sparse.csr_matrix,
    rank: int,
    seed: int,
    progress: Progress = QUIET,
    residual: float = TO_ROUNDING,
) -> Float64Array:
    """(columns, min(rank, columns)) orthonormal vectors that span the largest eigenvectors of MᵀM.

    The same arguments give the same bytes. Where an eigenvalue is repeated, any of its vectors may
    come.

    Args:
        matrix: M, (rows, columns) float64, at least as many rows as columns.
        rank: vectors that are wanted.
        seed: of the first vectors.
        progress: is told of every cycle and round.
        residual: ‖G v − λ v‖ that is small enough, of the largest eigenvalue; G = MᵀM.
    """
    side = matrix.shape[1]
    if side <= max(_DENSE_SIDE, 2 * rank + 6 * _BLOCK):
        return _dense(matrix, min(rank, side))
    vectors, has_converged = _lanczos(matrix, rank, seed, progress, residual)
    if has_converged and not _misses_some(matrix, vectors, seed, residual):
        return vectors
    return _filtered_block(matrix, vectors, seed, progress, residual)


def _dense(matrix: sparse.csr_matrix, rank: int) -> Float64Array:
    gram = (matrix.T @ matrix).toarray()
    side = len(gram)
    _, vectors = linalg.eigh(gram, subset_by_index=(side - rank, side - 1), driver="evr")
    return np.asarray(vectors)


def _lanczos(
    matrix: sparse.csr_matrix, rank: int, seed: int, progress: Progress, residual: float
) -> tuple[Float64Array, bool]:
    """By block Lanczos with thick restarts (Wu and Simon 2000), and whether it converged.

    Every block is made orthogonal to all before: products of blocks, where vectors one by one would
    read the whole basis for each. Needs side > 2 · rank + 6 · block.
    """
    side = matrix.shape[1]
    transposed = matrix.T.tocsr()
    capacity = (2 * rank + 4 * _BLOCK) // _BLOCK * _BLOCK
    basis = np.zeros((side, capacity + _BLOCK), order="F")
    start = np.random.default_rng(seed).standard_normal((side, _BLOCK))
    basis[:, :_BLOCK], _ = np.linalg.qr(start)
    projected = np.zeros((capacity, capacity))
    num_kept = 0
    for _ in progress.track(range(_CYCLES), "singular vectors", _CYCLES):
        coupling = _extend(matrix, transposed, basis, projected, num_kept)
        values, rotation = linalg.eigh(projected)
        values, rotation = values[::-1], rotation[:, ::-1]
        # ‖G v − λ v‖ of a Ritz vector is what leads out of the basis: its last rows' share.
        errors = np.linalg.norm(coupling @ rotation[-_BLOCK:, :rank], axis=0)
        if errors.max() <= residual * values[0]:
            return basis[:, :capacity] @ rotation[:, :rank], True
        # The next cycle starts from the best Ritz vectors and the block that came last.
        num_kept = (rank + (capacity - rank) // 3) // _BLOCK * _BLOCK
        last_block = basis[:, capacity:].copy()
        basis[:, :num_kept] = basis[:, :capacity] @ rotation[:, :num_kept]
        basis[:, num_kept : num_kept + _BLOCK] = last_block
        projected = np.zeros((capacity, capacity))
        np.fill_diagonal(projected[:num_kept, :num_kept], values[:num_kept])
    return basis[:, :rank].copy(), False


def _extend(
    matrix: sparse.csr_matrix,
    transposed: sparse.csr_matrix,
    basis: Float64Array,
    projected: Float64Array,
    num_kept: int,
) -> Float64Array:
    """Fill the basis, block after block, from the one that starts at column `num_kept`.

    Args:
        matrix: M, with G = MᵀM.
        transposed: Mᵀ.
        basis: V, (side, capacity + block); the last block comes to lie behind the capacity.
        projected: VᵀGV, (capacity, capacity), filled too.
        num_kept: vectors before the block to start from.

    Returns:
        (block, block) C with G · (last block within the capacity) = V … + (block behind it) · C.
    """
    coupling = np.zeros((_BLOCK, _BLOCK))
    for first in range(num_kept, len(projected), _BLOCK):
        stop = first + _BLOCK
        block = np.ascontiguousarray(basis[:, first:stop])
        image = transposed @ (matrix @ block)
        before = basis[:, :stop]
        # Gram–Schmidt, twice for rounding.
        components = before.T @ image
        image -= before @ components
        correction = before.T @ image
        image -= before @ correction
        components += correction
        projected[:stop, first:stop] = components
        projected[first:stop, :stop] = components.T
        following, coupling = np.linalg.qr(image)
        # Where the image was within the basis, what is left of it is rounding, and not orthogonal.
        following -= before @ (before.T @ following)
        basis[:, stop : stop + _BLOCK], _ = np.linalg.qr(following)
    return coupling


def _misses_some(
    matrix: sparse.csr_matrix, vectors: Float64Array, seed: int, residual: float
) -> bool:
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
    tolerance = max(_CHECK_TOLERANCE, residual)
    return bool(values[-1] > smallest + tolerance * largest)


def _filtered_block(
    matrix: sparse.csr_matrix,
    vectors: Float64Array,
    seed: int,
    progress: Progress,
    wanted_residual: float,
) -> Float64Array:
    """By subspace iteration with Chebyshev filters (Zhou and Saad 2007), a bounded number of them.

    Equal eigenvalues do no harm: a whole block goes through the filter at once. It starts from
    `vectors` (columns, rank), and random ones beside them.
    """
    side, rank = vectors.shape
    width = min(side, rank + rank // 10 + _SPARE_VECTORS)
    transposed = matrix.T.tocsr()
    spare = np.random.default_rng([seed, 2]).standard_normal((side, width - rank))
    block, _ = np.linalg.qr(np.hstack([vectors, spare]))
    values, block, residual = _rayleigh_ritz(matrix, transposed, block, rank)
    products, lowering = 0.0, 1.0
    for _ in progress.track(range(_ROUNDS), "singular vectors, filtered", _ROUNDS):
        if residual <= wanted_residual * values[0] or products > _FILTER_PRODUCTS:
            break
        # What lies below the border is damped: below all that the block holds.
        border = lowering * values[-1]
        degree = _degree(values[0], border)
        for first in range(0, width, _COLUMNS):
            columns = slice(first, first + _COLUMNS)
            filtered = _filtered(matrix, transposed, block[:, columns], degree, border)
            block[:, columns] = filtered
        block, _ = np.linalg.qr(block)
        last_residual, last_smallest = residual, values[-1]
        values, block, residual = _rayleigh_ritz(matrix, transposed, block, rank)
        if residual > last_residual / 2 and values[-1] < 1.001 * last_smallest:
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
