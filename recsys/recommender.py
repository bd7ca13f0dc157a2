"""The Python face: GraphRecommender(...).fit(frame).recommend(users, k)."""

import shutil
import tempfile
import warnings
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self, Unpack

import numpy as np
import polars as pl
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from recsys.bundle.bundle import Bundle
from recsys.core.arrays import Float32Array
from recsys.core.artefacts import atomic_folder, read_json, write_json
from recsys.core.config import (
    BlendConfig,
    ModelConfig,
    RunConfig,
    SplitConfig,
    TrainConfig,
    build_config,
    rename_old_parameters,
)
from recsys.core.errors import UsageError
from recsys.core.ids import UNKNOWN
from recsys.core.interactions import fit_interactions
from recsys.core.progress import QUIET, Progress
from recsys.encode.history_scores import searched
from recsys.evaluate.metrics import evaluable_users, rank_metrics
from recsys.fitting.fit import bundle_of, fit_phase
from recsys.fitting.known_names import require_known_names
from recsys.graph.build import target_behavior
from recsys.logs.frames import Frame, FrameStyle, ids_of, lists_table, to_polars
from recsys.logs.ingest import CodedLog, ingest, load_log
from recsys.logs.split import split_log
from recsys.lookup.cold_start import Fallback
from recsys.lookup.lookup import Answer, Attributes, Explained, Lookup
from recsys.lookup.options import ListKeywords
from recsys.phases.phase import Phase
from recsys.releases.publish import write_bundle
from recsys.scores.additions import blended
from recsys.scores.blend import NO_BLEND, Blend
from recsys.scores.choice import choose_blend
from recsys.scores.most_popular import choose_popularity
from recsys.scores.trained_vectors import TrainedVectors
from recsys.search.exact import VectorScorer, rank
from recsys.search.tuning import tune

_MODEL, _TRAIN, _BLEND, _SPLIT = ModelConfig(), TrainConfig(), BlendConfig(), SplitConfig()
_BUNDLE, _CARD = "bundle", "recommender.json"


class _Chosen(NamedTuple):
    """popular_days: as in `bundle_of`."""

    epochs: int
    blend: Blend = NO_BLEND
    popular_days: float | None = None


class GraphRecommender(BaseEstimator):
    """A graph-attention recommender with the conventions of scikit-learn.

    `fit` chooses the number of epochs, and what histories add, on rows held out from the log, then
    refits on all of it. Parameters are those of the configuration (docs/configuration.md) under the
    same names and with the same defaults; `epochs` with `early_stopping=False` trains for exactly
    that many, and takes the vectors alone. Column parameters name the columns of the frames given.
    """

    def __init__(
        self,
        *,
        family: Literal["degree_prior", "gat", "gatv2"] = _MODEL.family,
        width: int = _MODEL.width,
        layers: int = _MODEL.layers,
        heads: int = _MODEL.heads,
        attention: bool = _MODEL.attention,
        similarity: Literal["cosine", "dot"] = _MODEL.similarity,
        loss: str = _TRAIN.loss,
        temperature: float = _TRAIN.temperature,
        negatives: int = _TRAIN.negatives,
        epochs: int = _TRAIN.epochs,
        batch_size: int | None = _TRAIN.batch_size,
        lr: float = _TRAIN.lr,
        mode: Literal["auto", "full", "sampled"] = _TRAIN.mode,
        early_stopping: bool = True,
        patience: int = _TRAIN.patience,
        neighbours: int = _BLEND.neighbours,
        low_pass_rank: int = _BLEND.low_pass_rank,
        validation_share: float = _SPLIT.validation_share,
        user_col: str = "user_id",
        item_col: str = "item_id",
        time_col: str | None = None,
        behavior_col: str | None = None,
        weight_col: str | None = None,
        rating_col: str | None = None,
        min_rating: float | None = None,
        target: str | None = None,
        attributes: Sequence[str] = (),
        user_attributes: Sequence[str] = (),
        seed: int = 0,
        threads: int | None = None,
    ) -> None:
        self.family = family
        self.width = width
        self.layers = layers
        self.heads = heads
        self.attention = attention
        self.similarity = similarity
        self.loss = loss
        self.temperature = temperature
        self.negatives = negatives
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.mode = mode
        self.early_stopping = early_stopping
        self.patience = patience
        self.neighbours = neighbours
        self.low_pass_rank = low_pass_rank
        self.validation_share = validation_share
        self.user_col = user_col
        self.item_col = item_col
        self.time_col = time_col
        self.behavior_col = behavior_col
        self.weight_col = weight_col
        self.rating_col = rating_col
        self.min_rating = min_rating
        self.target = target
        self.attributes = attributes
        self.user_attributes = user_attributes
        self.seed = seed
        self.threads = threads

    def fit(
        self,
        interactions: object,
        y: None = None,
        *,
        items: object | None = None,
        users: object | None = None,
        progress: Progress = QUIET,
    ) -> Self:
        """Learn from a polars or pandas frame with one row per event.

        items: frame of item ids, titles (column "title") and attribute columns. users: frame of
        user ids and attribute columns. y: ignored, for scikit-learn. Raises DataError for a frame
        that cannot be used, ConfigError for a parameter out of range.
        """
        style = FrameStyle.of(interactions, self.user_col, self.item_col)
        home = Path(tempfile.mkdtemp(prefix="recsys-"))
        finalizer = weakref.finalize(self, shutil.rmtree, home, ignore_errors=True)
        log_, config = self._ingest(
            to_polars(interactions), {"items": items, "users": users}, home, progress
        )
        chosen = self._choose(log_, config, progress)
        phase = Phase("serve", log_, None, config)
        graph = phase.graph
        trained = fit_phase(phase, graph, config.model, epochs=chosen.epochs, progress=progress)
        found = TrainedVectors(phase.interactions, trained.embeddings, graph).embeddings_of(
            chosen.blend.scaling
        )
        scorer = blended(phase, VectorScorer(found.users, found.items), chosen.blend)
        vectors = searched(scorer)
        popularity = phase.interactions.popularity(phase.target)
        tuned = tune(
            vectors.item_vectors,
            vectors.user_vectors,
            config.index,
            seed=self.seed,
            popularity=popularity,
        )
        card = {
            "config": config.model_dump(mode="json", exclude={"data"}),
            "epochs": chosen.epochs,
            "refit": True,
        }
        bundle = bundle_of(
            phase, graph, found, scorer, tuned, card, popular_days=chosen.popular_days
        )
        path = write_bundle(home / "bundles", bundle)
        self._take(path, style, finalizer)
        self.epochs_ = chosen.epochs
        return self

    def recommend(
        self,
        users: object,
        k: int = 10,
        *,
        histories: Sequence[Sequence[object]] | None = None,
        fallback: Fallback = "refuse",
        unknown: Fallback | None = None,
        **options: Unpack[ListKeywords],
    ) -> Frame:
        """The k best items of each user.

        Args:
            users: Ids.
            k: Length of the lists.
            histories: New items of each user, on top of what was learnt.
            fallback: What users get that are not in the log: "refuse" warns and gives them no rows,
                "popularity" gives the most popular items.
            unknown: Old name of `fallback`, until 0.3.
            options: As in `Lookup.recommend`: offset, exclude_seen, allow, deny, filters,
                popularity, diversity, explain.

        Returns:
            Columns user, item, score, rank (from 1), best first; with explain also reasons, text.

        Raises:
            UsageError: No user is known, or a value cannot be.
        """
        if unknown is not None:
            warnings.warn("the option 'unknown' is called 'fallback' now", FutureWarning, 2)
            fallback = unknown
        user_ids = ids_of(users)
        for name in ("allow", "deny"):
            if options.get(name) is not None:
                options[name] = ids_of(options[name])
        answers = self.lookup_.recommend(
            user_ids, k, histories=histories, fallback=fallback, **options
        )
        refused = [answer["unknown"][0] for answer in answers if answer["source"] == "refused"]
        if refused:
            warnings.warn(
                f"{len(refused)} of {len(answers)} users are not in the log and get no rows: "
                f'{refused[:5]}; fallback="popularity" gives them popular items',
                UserWarning,
                2,
            )
        style = self.style_
        table = lists_table(answers, style.user_col, user_ids, style.item_col)
        if options.get("explain"):
            table = table.with_columns(_reasons_column(answers))
        return style.back(table)

    def recommend_history(
        self,
        history: object,
        k: int = 10,
        *,
        attributes: Attributes | None = None,
        exclude_seen: bool = True,
    ) -> Frame:
        """The k best items for a visitor with these items: columns item, score, rank.

        attributes: values of the visitor by column of `user_attributes`.
        """
        answers = self.lookup_.recommend(
            k=k,
            histories=[ids_of(history)],
            attributes=[attributes or {}],
            exclude_seen=exclude_seen,
        )
        return self.style_.back(lists_table(answers, "", [""], self.style_.item_col).drop(""))

    def similar_items(self, items: object, k: int = 10) -> Frame:
        """The k items nearest to each item by cosine: columns item, similar_<item>, score, rank."""
        wanted, column = ids_of(items), self.style_.item_col
        table = lists_table(
            self.lookup_.similar_items(wanted, k), column, wanted, f"similar_{column}"
        )
        return self.style_.back(table)

    def similar_users(self, users: object, k: int = 10) -> Frame:
        """The k users nearest to each user by cosine: columns user, similar_<user>, score, rank."""
        wanted, column = ids_of(users), self.style_.user_col
        lists = [{"items": found} for found in self.lookup_.similar_users(wanted, k)]
        return self.style_.back(lists_table(lists, column, wanted, f"similar_{column}"))

    def fold_in(self, history: object, attributes: Attributes | None = None) -> Float32Array:
        """(width,) vector of a visitor with these items and attributes, without training."""
        return self.lookup_.fold_in(ids_of(history), attributes)

    def explain(
        self, user: object, item: object, parts: int | None = None, popularity: float = 0.0
    ) -> Explained:
        """The score of an item as one additive share per neighbour, and a rest. popularity: as in
        `recommend`.
        """
        return self.lookup_.explain(user, item, parts=parts, popularity=popularity)

    def evaluate(self, test: object, ks: Sequence[int] = (10, 20)) -> dict[str, float]:
        """Exact metrics on held-out rows of users and items that were learnt; what was learnt is
        masked.

        "users" counts the users averaged over, "dropped" the rows of users or items that are not
        known.
        """
        bundle, rows = self.lookup_.bundle, to_polars(test)
        user = bundle.users.lookup(rows[self.style_.user_col].to_list())
        item = bundle.items.lookup(rows[self.style_.item_col].to_list())
        warm = (user != UNKNOWN) & (item != UNKNOWN)
        shape = (len(bundle.users), len(bundle.items))
        held_out = sparse.csr_matrix(
            (np.ones(int(warm.sum()), np.float32), (user[warm], item[warm])), shape=shape
        )
        users = evaluable_users(held_out)
        ranked = rank(bundle.scorer, users, max(ks), bundle.seen[bundle.target])
        found = rank_metrics(ranked.items, users, held_out, ks).overall
        return {**found, "users": len(users), "dropped": int((~warm).sum())}

    def save(self, folder: str | Path) -> Path:
        """Write the fitted recommender as a folder, whole or absent; `recsys recommend` reads it
        too.

        Raises UsageError when the folder holds anything but an earlier recommender.
        """
        place = Path(folder)
        if place.exists() and any(place.iterdir()) and not (place / _CARD).exists():
            raise UsageError(
                f"{str(folder)!r} holds other files", "Choose an empty or a new folder"
            )
        with atomic_folder(place) as part:
            shutil.copytree(self.lookup_.bundle.path, part, dirs_exist_ok=True)
            card = {
                "params": self.get_params(),
                "style": self.style_.document(),
                "epochs": self.epochs_,
            }
            write_json(part / _CARD, card)
        return place

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """A recommender from a folder that `save` wrote; old names of parameters are understood.

        Raises DataError when it is damaged.
        """
        place = Path(folder)
        if not (place / _CARD).exists():
            raise UsageError(
                f"{str(folder)!r} is not a saved recommender: it has no {_CARD}",
                "Give what save() wrote",
            )
        card = read_json(place / _CARD)
        params: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in card["params"].items()
        }
        for section in _SECTIONS:
            params = rename_old_parameters(section, params)
        loaded = cls(**params)
        loaded._take(place, FrameStyle.read(card["style"]), None)
        loaded.epochs_ = card["epochs"]
        return loaded

    @property
    def lookup_(self) -> Lookup:
        """The lookup of the fitted bundle. Raises NotFittedError before `fit`."""
        if not hasattr(self, "_lookup"):
            raise NotFittedError(
                "this GraphRecommender is not fitted; call fit(interactions) first"
            )
        return self._lookup

    def configuration(self) -> RunConfig:
        """The parameters as a run configuration. Raises ConfigError for a value out of range."""
        given = self.get_params(deep=False)
        raw: dict[str, Any] = {section: {} for section in _SECTIONS}
        for section, names in _SECTIONS.items():
            raw[section] = {name: given[name] for name in names}
        sides = {"item": self.attributes, "user": self.user_attributes}
        columns = [
            {"column": name, "side": side} for side, names in sides.items() for name in names
        ]
        raw["graph"] = {"target": self.target, "attributes": columns}
        raw["split"] = {"test_share": self.validation_share, "validation_share": 0.0}
        config = build_config({**raw, "seed": self.seed, "threads": self.threads})
        return require_known_names(config)

    def _ingest(
        self,
        rows: pl.DataFrame,
        tables: Mapping[str, object | None],
        home: Path,
        progress: Progress,
    ) -> tuple[CodedLog, RunConfig]:
        config = self.configuration()
        files = {
            name: str(home / f"{name}.parquet")
            for name, table in tables.items()
            if table is not None
        }
        for name, file in files.items():
            to_polars(tables[name]).write_parquet(file)
        config = config.model_copy(update={"data": config.data.model_copy(update=files)})
        report = ingest(rows, config.data, config.clean, home / "log", progress)
        for warning in report.warnings:
            warnings.warn(warning, UserWarning, stacklevel=3)
        return load_log(home / "log"), config

    def _choose(self, log: CodedLog, config: RunConfig, progress: Progress) -> _Chosen:
        """What does best on held-out rows; `epochs` itself, and vectors alone, without them."""
        if not self.early_stopping or not self.epochs:
            return _Chosen(self.epochs)
        behaviors = fit_interactions(
            log.rows.head(0).collect(), log.users, log.items, log.behaviors
        )
        splits = split_log(log, config.split, target_behavior(behaviors, config.graph), self.seed)
        phase = Phase("final", log, splits, config)
        graph = phase.graph
        trained = fit_phase(phase, graph, config.model, progress=progress)
        vectors = TrainedVectors(phase.interactions, trained.embeddings, graph)
        blend = choose_blend(phase, vectors, progress).blend
        return _Chosen(trained.best_epoch, blend, choose_popularity(phase).half_life_days)

    def _take(self, bundle: Path, style: FrameStyle, finalizer: object) -> None:
        self._lookup = Lookup(Bundle.load(bundle, verify=False))
        self.style_ = style
        self._finalizer = finalizer


_SECTIONS = {
    "data": ("user_col", "item_col", "time_col", "behavior_col", "weight_col", "rating_col"),
    "clean": ("min_rating",),
    "model": ("family", "width", "layers", "heads", "attention", "similarity"),
    "train": ("loss", "temperature", "negatives", "epochs", "batch_size", "lr", "mode", "patience"),
    "blend": ("neighbours", "low_pass_rank"),
}


def _reasons_column(answers: Sequence[Answer]) -> pl.Series:
    """The reasons of every row of a table of lists, as one text."""
    texts = []
    for answer in answers:
        for item in answer["items"]:
            texts.append("; ".join(reason["text"] for reason in item["reasons"]))
    return pl.Series("reasons", texts, dtype=pl.String)
